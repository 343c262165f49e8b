import type { ServerResponse } from 'node:http'
import { type Cursor, encodeChannelName } from '../../core/cursor.js'
import type { EntryId } from '../../core/entry-id.js'
import { EventStreamError } from '../../core/errors.js'
import { escapeComposed, type GripForm, maxGripChannels } from '../../core/grip.js'
import { isEndOf } from '../../core/stream-end.js'
import { type Missed, type MissedOptions, readMissed } from '../../hub/missed.js'
import { openingText } from '../../hub/opening.js'
import { SharedReads } from '../../hub/shared-reads.js'
import { findStart, type StartFrom } from '../../hub/start.js'
import type { EventLog } from '../../log/event-log.js'
import type { RequestLike } from '../request.js'
import { answerOver, sendAway, setHead } from '../response.js'
import { AskTimes } from './ask-times.js'
import type { FunctionKicks } from './function-kicks.js'
import { type Asked, holdHeaders, readFeatures } from './headers.js'
import type { RecoveryLinks } from './link.js'
import type { ChannelProof } from './proof.js'

export interface GripHoldOptions {
  readonly log: EventLog
  readonly prefix: string
  readonly proof: ChannelProof
  readonly links: RecoveryLinks
  readonly kicks: FunctionKicks
  /** Called before a client of several channels is answered: events must go to the proxy for it, too. */
  onComposed(): Promise<void>
  /** How often, in milliseconds, proxies ask whether they missed something. */
  readonly pollMs: number
  /** Resolves when all kicks are known that were asked for by now. */
  hearKicks(): Promise<void>
  /** Whether a stream must end whose rights were checked at `since`. */
  isKicked(channels: readonly string[], since: number): boolean
  readonly keepAliveMs: number
  readonly keepAliveText: string
  readonly onError: (error: unknown) => void
}

/** What a client asks for, through a proxy. */
export interface HeldRequest {
  readonly channels: readonly string[]
  readonly cursor: Cursor | 'invalid' | undefined
  readonly startFrom: StartFrom
  readonly retryMs: number
  /** When its rights were checked, as `performance.now()` gives it. */
  readonly since: number
  /** Aborts when the client has gone: nothing more is read for it. */
  readonly gone: AbortSignal
}

/**
 * Bytes of a first body, and of an answer to a link. Pushpin takes 100,000 bytes of a first body that
 * has a filter.
 */
const maxBodyBytes = { composed: 90_000, plain: 500_000, link: 900_000 }

/**
 * Seconds after which a proxy asks for the first time, for what was published while the answer was on
 * its way to it; and for the rest, when not all that was missed has fitted.
 */
const soonSeconds = 1

/**
 * Answers requests that came through a GRIP proxy: with what the client has not got, and the
 * instruction to hold the response and publish to it. Nothing of the client is kept here.
 */
export class GripHold {
  readonly #options: GripHoldOptions
  readonly #reads: SharedReads
  readonly #askTimes: AskTimes

  constructor(options: GripHoldOptions) {
    this.#options = options
    this.#reads = new SharedReads(options.log)
    this.#askTimes = new AskTimes(options.pollMs)
  }

  /**
   * Answers a client.
   *
   * @returns Whether the proxy holds the stream from here on.
   * @throws EventStreamError `ERR_TOO_MANY_CHANNELS`, or what the log throws; nothing is sent then.
   */
  async open(req: RequestLike, res: ServerResponse, request: HeldRequest): Promise<boolean> {
    const channels = [...request.channels].sort()
    if (channels.length > maxGripChannels) throw tooMany(channels.length)
    const { canCompose } = readFeatures(req)
    const form = channels.length > 1 && canCompose ? 'composed' : 'plain'
    if (form === 'composed') await this.#options.onComposed()
    const heard = this.#options.hearKicks()
    // Told below, unless this fails before.
    heard.catch(() => undefined)
    const start = await this.#start(channels, request)
    const encodedNames = channels.map(encodeChannelName)
    const opening = escapeFor(form)(openingText(encodedNames, start, request.retryMs))
    const maxBytes = maxBodyBytes[form] - Buffer.byteLength(opening)
    const limits = { maxBytes, mayExceed: form === 'plain', gone: request.gone }
    const missed = await this.#missed(form, channels, start.positions, limits)
    await heard
    if (request.gone.aborted) return false
    if (this.#options.isKicked(channels, request.since)) {
      sendAway(res, request.retryMs, false)
      return false
    }
    if (isOver(channels, missed)) {
      if (missed.text === '' && start.lost.length === 0) answerOver(res)
      else sendLast(res, opening + missed.text)
      return false
    }
    const answer = { ...missed, text: opening + missed.text, isComplete: false }
    this.#answer(req, res, form, channels, answer, 0)
    return true
  }

  /** @returns The proof of the channels, where there is no room for it beside them. */
  proofInLink(channels: readonly string[]): string | undefined {
    return channels.length < maxGripChannels ? undefined : this.#prove([...channels].sort(), 0)
  }

  /**
   * Answers a proxy that asks for what its clients have not got.
   *
   * @param group - That they were in: see {@link AskTimes}.
   * @throws What the log throws; nothing is sent then.
   */
  async follow(
    req: RequestLike,
    res: ServerResponse,
    { form, channels, positions }: Asked,
    group: number,
  ): Promise<void> {
    if (form === 'composed') await this.#options.onComposed()
    const limits = { maxBytes: maxBodyBytes.link, mayExceed: true }
    const missed = await this.#missed(form, channels, positions, limits)
    if (isOver(channels, missed)) {
      sendLast(res, missed.text)
      return
    }
    const keepAlive = this.#answersKeepAlive ? this.#options.keepAliveText : ''
    const answer = { ...missed, text: missed.text || keepAlive }
    const nextGroup =
      channels.length < maxGripChannels ? this.#askTimes.nextGroup(channels, group) : 0
    this.#answer(req, res, form, channels, answer, nextGroup)
  }

  /**
   * Whether what a proxy asks for is answered often enough to be the keep-alive. Its own ones go on for
   * a stream whose question it has forgotten, which gets nothing else.
   */
  get #answersKeepAlive(): boolean {
    return this.#options.pollMs <= this.#options.keepAliveMs
  }

  #prove(channels: readonly string[], group: number): string {
    const { proof, kicks } = this.#options
    return proof.sign(channels, { generation: kicks.generation, group })
  }

  #start(channels: readonly string[], { cursor, startFrom }: HeldRequest) {
    let heads: Promise<readonly EntryId[]> | undefined
    const places = channels.map((name, i) => ({
      name,
      locate: async () => {
        heads ??= this.#reads.heads(channels)
        return (await heads)[i] as EntryId
      },
    }))
    return findStart(this.#reads, places, { channels, cursor, startFrom })
  }

  #missed(
    form: GripForm,
    channels: readonly string[],
    from: readonly EntryId[],
    limits: Pick<MissedOptions, 'maxBytes' | 'mayExceed' | 'gone'>,
  ): Promise<Missed> {
    const { onError } = this.#options
    return readMissed(this.#reads, channels, from, { ...limits, escape: escapeFor(form), onError })
  }

  #answer(
    req: RequestLike,
    res: ServerResponse,
    form: GripForm,
    channels: readonly string[],
    { text, positions, isComplete }: Missed,
    group: number,
  ): void {
    const { prefix, links, keepAliveMs, keepAliveText } = this.#options
    const seconds = Math.max(1, Math.floor(keepAliveMs / 1000))
    const room = maxGripChannels - channels.length
    setHead(res)
    const headers = holdHeaders({
      prefix,
      form,
      channels,
      positions,
      proof: room > 0 ? this.#prove(channels, group) : undefined,
      isControlled: room > 1 && readFeatures(req).canRequireChannel,
      link: links.of(req, this.proofInLink(channels)),
      linkSeconds: isComplete ? this.#askTimes.secondsOf(channels, group) : soonSeconds,
      keepAlive: this.#answersKeepAlive ? undefined : { text: keepAliveText, seconds },
    })
    for (const [name, value] of Object.entries(headers)) res.setHeader(name, value)
    res.end(text)
  }
}

/** Whether a client has then all there will ever be, of streams that have ended. */
function isOver(names: readonly string[], { positions, isComplete }: Missed): boolean {
  return isComplete && names.every((name, i) => isEndOf(name, positions[i] as EntryId))
}

/** Without an instruction to hold it, the proxy ends the response. */
function sendLast(res: ServerResponse, text: string): void {
  setHead(res)
  res.end(text)
}

function escapeFor(form: GripForm): (text: string) => string {
  return form === 'composed' ? escapeComposed : (text) => text
}

function tooMany(count: number): EventStreamError {
  return new EventStreamError(
    'ERR_TOO_MANY_CHANNELS',
    `The request names ${count} channels, and a GRIP proxy takes ${maxGripChannels} per connection.`,
  )
}
