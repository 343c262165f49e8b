import { EventStreamError, quote } from '../core/errors.js'
import type { Chunk } from './chunk.js'

/** Anything that gives chunks: an async generator, a Node `Readable`, a Web `ReadableStream`, an array. */
export type Source =
  | AsyncIterable<Chunk>
  | Iterable<Chunk>
  | ReadableStream<Chunk>
  | Promise<AsyncIterable<Chunk> | Iterable<Chunk> | ReadableStream<Chunk>>

export interface SourceContext {
  readonly id: string
  /** Aborts when somebody stops the stream, or it can no longer be its producer's. */
  readonly signal: AbortSignal
}

/** Makes the source of a stream, once it is known that this process produces it. */
export type MakeSource = (context: SourceContext) => Source

/** Pulls chunks one at a time. `return` lets the source clean up. */
export type ChunkIterator = Pick<AsyncIterator<unknown>, 'next' | 'return'>

/** @throws EventStreamError `ERR_EVENT` when it cannot be read from. */
export function iterate(source: unknown): ChunkIterator {
  // A string is iterable, and somebody who gives one means all of it.
  if (typeof source === 'string' || source instanceof Uint8Array) return iterate([source])
  const iterable = Object(source) as Partial<AsyncIterable<unknown> & Iterable<unknown>>
  if (typeof iterable[Symbol.asyncIterator] === 'function') {
    return (iterable as AsyncIterable<unknown>)[Symbol.asyncIterator]()
  }
  if (typeof iterable[Symbol.iterator] === 'function') {
    const iterator = (iterable as Iterable<unknown>)[Symbol.iterator]()
    return {
      next: async () => iterator.next(),
      return: async () => iterator.return?.() ?? { done: true, value: undefined },
    }
  }
  throw new EventStreamError(
    'ERR_EVENT',
    `The source of a stream is ${quote(source)}; give an async iterable, a Readable or a ReadableStream.`,
  )
}

/**
 * Makes text of what a source of text gives. Bytes are read as UTF-8, and a character that is cut in two by chunks
 * comes as a whole; what is no UTF-8 becomes U+FFFD.
 *
 * @throws EventStreamError `ERR_EVENT` when the source cannot be read from; from `next`, when it gives anything else.
 */
export function textChunks(source: unknown): AsyncIterable<string> {
  const chunks = iterate(source)
  const decoder = new TextDecoder()
  /** @returns undefined for bytes without a whole character. */
  const decode = (chunk: unknown) => {
    if (typeof chunk === 'string') return decoder.decode() + chunk
    if (chunk instanceof Uint8Array) return decoder.decode(chunk, { stream: true }) || undefined
    throw new EventStreamError(
      'ERR_EVENT',
      `The source of a resumable stream must give text, or bytes of UTF-8, got ${quote(chunk)}.`,
    )
  }
  // Not a generator: its `return` would wait for a source that gives nothing.
  const iterator: AsyncIterator<string> = {
    next: async () => {
      for (;;) {
        const { value, done } = await chunks.next()
        const text = done ? decoder.decode() : decode(value)
        if (text === undefined) continue
        return done && text === '' ? { done, value: undefined } : { value: text }
      }
    },
    return: async () => {
      await chunks.return?.()
      return { done: true, value: undefined }
    },
  }
  return { [Symbol.asyncIterator]: () => iterator }
}
