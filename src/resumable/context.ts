import { createHash } from 'node:crypto'
import { isChannel } from '../core/channels.js'
import { type EntryId, seqOf } from '../core/entry-id.js'
import { EventStreamError, quote } from '../core/errors.js'
import { contextStreamName } from '../core/log-names.js'
import { checkNames, checkWhole } from '../core/options.js'
import { isEndId } from '../core/stream-end.js'
import type { StreamLog } from '../log/stream-log.js'
import type { ResolvedStreamsOptions } from './options.js'
import { type OpenEntries, readEntries } from './reader.js'
import { textChunks } from './source.js'
import type { OpenedStream, StreamPlace } from './status.js'
import { Streams } from './streams.js'
import { toText } from './text.js'

/** Keeps a serverless function alive until a promise has settled. */
export type WaitUntil = ((promise: Promise<unknown>) => void) | null

/** The API of `resumable-stream`. */
export interface ResumableStreamContext {
  /**
   * Starts the stream, or follows it when there is one of this id. Of all who ask first, one starts it.
   *
   * @param makeStream - Called at once, once per id. A stream of bytes is read as UTF-8.
   * @param skipCharacters - UTF-16 units that whoever follows has already.
   * @returns null when it has ended, unless `serveEnded` is set.
   * @throws What `makeStream` throws; EventStreamError when the store is out of reach and there is a stream of
   *   this id already.
   */
  resumableStream(
    streamId: string,
    makeStream: () => ReadableStream<string>,
    skipCharacters?: number,
  ): Promise<ReadableStream<string> | null>
  /**
   * Starts a stream.
   *
   * @throws EventStreamError `ERR_STREAM_EXISTS` when there is or was one of this id.
   */
  createNewResumableStream(
    streamId: string,
    makeStream: () => ReadableStream<string>,
    skipCharacters?: number,
  ): Promise<ReadableStream<string> | null>
  /** @returns undefined for an unknown id; null when it has ended, unless `serveEnded` is set. */
  resumeExistingStream(
    streamId: string,
    skipCharacters?: number,
  ): Promise<ReadableStream<string> | null | undefined>
  /** @returns null for an unknown id, `'DONE'` when it has ended. */
  hasExistingStream(streamId: string): Promise<null | true | 'DONE'>
  /** Ends a stream, in whichever process its source is; that is cancelled. Readers have what came until then. */
  stopStream(streamId: string): Promise<void>
  /** Waits for the streams of this process, for so long at most, and leaves nothing behind. */
  close(options?: { readonly graceMs?: number }): Promise<void>
}

export interface ContextHost {
  readonly log: StreamLog
  /** Gives the name in the log of a stream, by its id; by default `contextStreamName`. */
  readonly nameOf?: ((id: string) => string) | undefined
  readonly options: ResolvedStreamsOptions
  readonly keyPrefix: string
  readonly waitUntil: WaitUntil
  readonly serveEnded: boolean
  onError(error: unknown): void
}

/** @param host - Whose log is closed with the context. */
export function createContext(host: ContextHost): ResumableStreamContext {
  return new Context(host)
}

/** What the id of a stream begins with in whose store its own cannot be. */
const hashed = 'sha256:'

class Context implements ResumableStreamContext {
  readonly #host: ContextHost
  readonly #nameOf: (id: string) => string
  readonly #streams: Streams

  constructor(host: ContextHost) {
    const { log, options, onError, nameOf = contextStreamName } = host
    this.#host = host
    this.#nameOf = nameOf
    this.#streams = new Streams({ log, nameOf, options, relay: async () => undefined, onError })
  }

  async resumableStream(
    streamId: string,
    makeStream: () => ReadableStream<string>,
    skipCharacters = 0,
  ): Promise<ReadableStream<string> | null> {
    checkSkip(skipCharacters)
    const opened = await this.#open(streamId, makeStream)
    return opened.isNew ? this.#original(opened) : this.#follow(opened.id, opened, skipCharacters)
  }

  async createNewResumableStream(
    streamId: string,
    makeStream: () => ReadableStream<string>,
    _skipCharacters?: number,
  ): Promise<ReadableStream<string>> {
    const opened = await this.#open(streamId, makeStream)
    if (opened.isNew) return this.#original(opened)
    throw new EventStreamError(
      'ERR_STREAM_EXISTS',
      `There is a stream ${quote(streamId)} already; give each an id of its own, or use resumableStream.`,
    )
  }

  async resumeExistingStream(
    streamId: string,
    skipCharacters = 0,
  ): Promise<ReadableStream<string> | null | undefined> {
    checkSkip(skipCharacters)
    const id = this.#idOf(streamId)
    const place = await this.#streams.place(id)
    return place && this.#follow(id, place, skipCharacters)
  }

  async hasExistingStream(streamId: string): Promise<null | true | 'DONE'> {
    const status = await this.#streams.status(this.#idOf(streamId))
    if (status === undefined) return null
    return status.state === 'active' ? true : 'DONE'
  }

  async stopStream(streamId: string): Promise<void> {
    await this.#streams.stop(this.#idOf(streamId))
  }

  async close(options: { readonly graceMs?: number } = {}): Promise<void> {
    checkNames('close', options, ['graceMs'])
    const { graceMs = 0 } = options
    checkWhole('graceMs', graceMs, 0, 2 ** 31 - 1)
    await this.#streams.close(graceMs)
    await this.#host.log.close()
  }

  /**
   * The id of a stream in its store: that of a context may be longer, and hold anything. The first `:` ends the prefix,
   * as some stores have no other place for it.
   */
  #idOf(streamId: string): string {
    const prefix = this.#host.keyPrefix.replace(/[%:]/g, encodeURIComponent)
    const id = `${prefix}:${streamId}`
    const isPlain = /^[\x20-\x7e]{1,200}$/.test(id) && isChannel(id)
    if (isPlain && !id.startsWith(hashed)) return id
    const digest = createHash('sha256').update(Buffer.from(id, 'utf16le')).digest('base64url')
    return `${hashed}${digest}`
  }

  async #open(streamId: string, makeStream: () => ReadableStream<string>): Promise<OpenedStream> {
    const { waitUntil } = this.#host
    let failure: { readonly error: unknown } | undefined
    const opened = await this.#streams.open(this.#idOf(streamId), async () => {
      let source: unknown
      try {
        source = makeStream()
      } catch (error) {
        failure = { error }
        throw error
      }
      return textChunks(await source)
    })
    if (opened.ended !== undefined) waitUntil?.(opened.ended)
    if (failure !== undefined) {
      await opened.ended
      throw failure.error
    }
    return opened
  }

  /** What whoever has started a stream reads: all of it, as it comes. */
  #original({ id, origin }: OpenedStream): ReadableStream<string> {
    return toText(id, this.#entries(id, origin), 0, 0)
  }

  #follow(id: string, { origin, head }: StreamPlace, skip: number): ReadableStream<string> | null {
    const hasEnded = isEndId(head)
    if (hasEnded && !this.#host.serveEnded) return null
    // The end is no chunk.
    const ready = seqOf(head) - seqOf(origin) - Number(hasEnded)
    return toText(id, this.#entries(id, origin), skip, ready)
  }

  #entries(id: string, origin: EntryId): OpenEntries {
    return (left) => readEntries(this.#streams.log, this.#nameOf(id), origin, left)
  }
}

function checkSkip(units: unknown): void {
  checkWhole('skipCharacters', units, 0)
}
