import { AsyncResource } from 'node:async_hooks'
import { EventStreamError, isRunningLimit } from '../core/errors.js'
import { quoteName, shownName } from '../core/log-names.js'
import { isThenable } from '../core/thenable.js'
import type { Connection } from '../hub/connection.js'
import type { Hub, PreparedStream } from '../hub/hub.js'
import type { Sink } from '../hub/sink.js'
import type { Wish } from '../hub/start.js'
import type { SentAwayReason } from '../observe/counters.js'
import type { Observer } from '../observe/observer.js'
import { type Admission, checkKey } from './admission.js'
import { checkRight } from './authorize.js'
import type { ChannelResolver } from './channel-source.js'
import type { Entered, Gate } from './grip/gate.js'
import { checkAccept, type RequestHead, readCursor } from './request.js'
import { defaultRetryMs, type RouteOptions, streamRights } from './route-options.js'
import { type Track, toTrack } from './track.js'

/**
 * Asks the application's functions what a request will read; what they throw is for `next`, and no log that is away.
 *
 * @returns Makes it ready.
 */
export type Begin<Req> = (
  req: Req,
  channels: readonly string[],
  cursor: Wish['cursor'],
) => Promise<MakeReady>

/**
 * Makes ready what a request will read, before it is read; for HEAD, finds out whether it can be.
 *
 * @param asker - Whom it is made ready for.
 * @returns Where the client begins, unless that is at its position; `'over'` when there is nothing it has not got.
 */
export type MakeReady = (asker: Asker) => Promise<Wish['cursor'] | 'over'>

/** Who waits for an answer. */
export interface Asker {
  /** Whether a proxy is to hold it, which gets what the log has. */
  readonly isHeld: boolean
  /** Whose connection it is, for limits of each. */
  key(): string | undefined
  /** Aborts when nobody waits for an answer any more. */
  readonly gone: AbortSignal
}

/** Keeps the list of connections. */
export interface ConnectionTracker {
  /** @throws EventStreamError `ERR_OPTION` when the log keeps no registry. */
  checkLog(): void
  /** There is a route that has them registered. */
  expect(): void
  /** @throws EventStreamError `ERR_OPTION` or `ERR_DATA` when it cannot be registered like that. */
  prepare(channels: readonly string[], track: Track): PreparedRecord
}

/** A connection that is to be registered: by one of the two. */
export interface PreparedRecord {
  /** @returns Ends it. */
  open(): () => void
  /** A proxy holds it from here on. */
  hold(): void
}

/** What routes need of the event stream they belong to. */
export interface RouteHost {
  readonly hub: Hub
  readonly admission: Admission
  readonly observer: Observer
  /** What every request passes before it is asked for anything. */
  readonly gate: Gate
  /** How a client is answered that cannot be served now. */
  readonly whenUnavailable: 'retry' | 'reject'
  readonly tracker: ConnectionTracker
  /** Whether the event stream is closing. */
  isClosing(): boolean
  onError(error: unknown): void
}

/** Answers one request, in the manner of its kind: the seam between routes and Node's or Web responses. */
export interface Reply {
  /** Whose connection it is, for the limit of each. */
  key(): string | undefined
  /** Whether nobody waits for an answer any more. */
  isGone(): boolean
  /**
   * Calls back when nobody waits for an answer any more.
   *
   * @returns Takes that back.
   */
  whenGone(callback: () => void): () => void
  /** Answers HEAD with what GET would have. */
  head(): void
  /**
   * Answers what passes: a browser's `EventSource` comes back after nothing but an event stream.
   *
   * @param last - Nothing more is served on this TCP connection.
   */
  sendAway(retryMs: number, last: boolean): void
  /** Answers a client that has all of a stream that has ended: a browser's `EventSource` stops there. */
  over(): void
  /**
   * Begins the stream.
   *
   * @throws EventStreamError `ERR_HEAD_SENT` when it cannot.
   */
  open(): Sink & { bind(owner: Connection): void }
}

/** What a request asks for, and has a right to. */
export interface Asked extends Pick<Wish, 'channels' | 'cursor'> {
  readonly isHead: boolean
  /** When its rights were looked at, as `performance.now()` gives it. */
  readonly since: number
  readonly record: PreparedRecord | undefined
  readonly makeReady: MakeReady | undefined
  /** Why kicks of other processes are not heard of: then there is no stream either. */
  readonly unavailable: unknown
  /** It is answered: nothing of it is kept. */
  done(): void
}

/** One route: what is the same for requests of any kind. */
export class Route<Req> {
  readonly #host: RouteHost
  readonly #resolve: ChannelResolver<Req>
  readonly #options: RouteOptions<Req>
  readonly #begin: Begin<Req> | undefined

  constructor(
    host: RouteHost,
    resolve: ChannelResolver<Req>,
    options: RouteOptions<Req>,
    begin?: Begin<Req>,
  ) {
    if (begin === undefined && options.authorize && streamRights.has(options.authorize)) {
      throw new EventStreamError(
        'ERR_OPTION',
        'ownerOnly decides about streams, and this route serves channels; follow a stream by eventStream.streams.handler(id, undefined, { authorize }).',
      )
    }
    this.#host = host
    this.#resolve = resolve
    this.#options = options
    this.#begin = begin
  }

  /**
   * @param entered - That it has passed the gate.
   * @throws EventStreamError with a `status`, and what functions of the application throw.
   */
  async ask(req: Req, head: RequestHead, _entered: Entered): Promise<Asked> {
    checkAccept(head)
    const cursor = readCursor(head)
    const isHead = head.method === 'HEAD'
    const { done, unavailable } = isHead ? unwatched : await this.#watchKicks()
    try {
      const since = performance.now()
      const channels = await this.#resolve(req)
      await this.#authorize(req, channels)
      const { track } = this.#options
      const record = track && this.#host.tracker.prepare(channels, await toTrack(track, req))
      const makeReady = await this.#begin?.(req, channels, cursor)
      return { channels, cursor, since, record, makeReady, isHead, unavailable, done }
    } catch (error) {
      done()
      throw error
    }
  }

  /** @returns The open stream; undefined when the request is answered otherwise. */
  async answer(req: Req, asked: Asked, reply: Reply): Promise<Connection | undefined> {
    const { channels, since, record, isHead } = asked
    if (reply.isGone()) return undefined
    if (isHead) {
      await unlessGone(reply, async (gone) => asked.makeReady?.(askerOf(reply, gone)))
      if (reply.isGone()) return undefined
      reply.head()
      return undefined
    }
    const leave = this.#host.isClosing() ? undefined : this.#host.admission.enter(reply.key())
    if (leave === undefined) return this.sendAway(reply, 'admission')
    let prepared: PreparedStream | 'over' | undefined
    try {
      prepared = await unlessGone(reply, (gone) => this.#prepare(asked, reply, gone))
    } catch (error) {
      leave()
      return this.failed(reply, error)
    }
    if (prepared === undefined || prepared === 'over') {
      leave()
      if (!reply.isGone()) reply.over()
      return undefined
    }
    if (reply.isGone() || this.#host.isClosing() || prepared.isOver) {
      prepared.release()
      leave()
      if (this.#host.isClosing()) return this.sendAway(reply, 'closing')
      if (!reply.isGone()) reply.over()
      return undefined
    }
    const stream = this.#open(req, reply, prepared, leave, record)
    if (this.#host.hub.isKicked(channels, since)) stream.kick()
    return stream
  }

  /**
   * Answers when a stream could not be had.
   *
   * @throws The error, when it is the client's.
   */
  failed(reply: Reply, error: unknown): undefined {
    if (isRunningLimit(error)) return this.sendAway(reply, 'admission', error)
    if (error instanceof EventStreamError && error.status < 500) throw error
    this.#host.onError(error)
    return this.sendAway(reply, 'unavailable')
  }

  /**
   * @param why - Unless the event stream is closing.
   * @param error - What it is answered where the application wants errors; by default `ERR_UNAVAILABLE`.
   * @throws EventStreamError The error, where the application wants that.
   */
  sendAway(reply: Reply, why: SentAwayReason, error = noStream): undefined {
    if (reply.isGone()) return undefined
    const { hub, observer, whenUnavailable } = this.#host
    observer.sentAway(this.#host.isClosing() ? 'closing' : why)
    const retryMs = hub.retryMs()
    if (whenUnavailable === 'reject') {
      throw new EventStreamError(error.code, error.message, {
        headers: { 'Retry-After': String(Math.ceil(retryMs / 1000)) },
      })
    }
    reply.sendAway(retryMs, this.#host.isClosing())
    return undefined
  }

  /** Milliseconds that a client is told to wait before it reconnects. */
  retryMs(): number {
    return this.#options.retryMs ?? defaultRetryMs()
  }

  async #prepare(
    { channels, cursor, makeReady, unavailable }: Asked,
    reply: Reply,
    gone: AbortSignal,
  ): Promise<PreparedStream | 'over' | undefined> {
    if (unavailable !== undefined) throw unavailable
    const { startFrom = 'now' } = this.#options
    const place = await makeReady?.(askerOf(reply, gone))
    if (place === 'over') return place
    if (gone.aborted) return undefined
    return this.#host.hub.prepare({ channels, cursor: place ?? cursor, startFrom }, gone)
  }

  /** Before rights are looked at, or a kick would be missed that comes between that and the stream. */
  async #watchKicks(): Promise<Pick<Asked, 'done' | 'unavailable'>> {
    try {
      return { done: await this.#host.hub.watchKicks(), unavailable: undefined }
    } catch (unavailable) {
      // Who has no right to it is told so all the same.
      return { done: () => undefined, unavailable }
    }
  }

  #open(
    req: Req,
    reply: Reply,
    prepared: PreparedStream,
    leave: () => void,
    record: PreparedRecord | undefined,
  ): Connection {
    const sink = openSink(reply, prepared, leave)
    const { onOpen, onClose } = this.#options
    const forget = record?.open()
    let connection: Connection | undefined
    // Whoever ends the stream, which may be another request, is not whom it belongs to.
    const tell = onClose && AsyncResource.bind((closed: Connection) => onClose(closed, req))
    const onClosed = () => {
      leave()
      forget?.()
      const closed = connection
      // None whose head could not be sent: it was never open.
      if (closed !== undefined && tell !== undefined) this.#report(() => tell(closed))
    }
    const opened = prepared.attach(sink, { retryMs: this.retryMs(), onClosed })
    connection = opened
    sink.bind(opened)
    this.#report(() => onOpen?.(opened, req))
    return opened
  }

  async #authorize(req: Req, channels: readonly string[]): Promise<void> {
    const { authorize } = this.#options
    if (authorize === undefined) return
    const check = (channel: string) =>
      checkRight(
        () => authorize(req, shownName(channel)),
        this.#host,
        (options) => forbidden(channel, options),
      )
    await Promise.all(channels.map(check))
  }

  /** A callback of the application that throws, now or later, has no effect on the stream. */
  #report(callback: () => unknown): void {
    try {
      const result = callback()
      if (!isThenable(result)) return
      Promise.resolve(result).catch((error) => this.#host.onError(error))
    } catch (error) {
      this.#host.onError(error)
    }
  }
}

function forbidden(channel: string, options?: ErrorOptions): EventStreamError {
  const message = `This request may not listen to ${quoteName(channel)}.`
  return new EventStreamError('ERR_FORBIDDEN', message, options)
}

const unwatched = { done: () => undefined, unavailable: undefined }

/**
 * Does what a client waits for, until it has gone: that moment is not held up by anything.
 *
 * @param start - What it has acquired by then, it gives back by itself when the signal aborts.
 * @returns undefined once the client has gone.
 */
export async function unlessGone<Result>(
  reply: Reply,
  start: (gone: AbortSignal) => Promise<Result>,
): Promise<Result | undefined> {
  const leaving = new AbortController()
  let forget: () => void = () => undefined
  const gone = new Promise<undefined>((resolve) => {
    forget = reply.whenGone(() => {
      leaving.abort()
      resolve(undefined)
    })
  })
  try {
    return await Promise.race([start(leaving.signal), gone])
  } finally {
    forget()
  }
}

const noStream: Pick<EventStreamError, 'code' | 'message'> = {
  code: 'ERR_UNAVAILABLE',
  message: 'No event stream can be served now.',
}

/** @param isHeld - Whether a proxy is to hold its response. */
export function askerOf(reply: Reply, gone: AbortSignal, isHeld = false): Asker {
  const key = () => {
    const given = reply.key()
    checkKey(given)
    return given
  }
  return { isHeld, key, gone }
}

function openSink(
  reply: Reply,
  prepared: PreparedStream,
  leave: () => void,
): ReturnType<Reply['open']> {
  try {
    return reply.open()
  } catch (error) {
    prepared.release()
    leave()
    throw error
  }
}
