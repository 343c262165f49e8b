import { randomBytes } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { inBackground } from '../background.js'
import { EventStreamError, quote } from '../core/errors.js'
import { encodeJson } from '../core/json.js'
import { checkChoice, checkFunction, checkNames, checkWhole } from '../core/options.js'
import { checkEnding, type StreamEnding } from '../core/stream-end.js'
import { within } from '../core/within.js'
import type { EventStream } from '../event-stream.js'
import type { RegistryCounts, RegistryRecord } from '../log/registry-store.js'
import { Outages } from './outages.js'
import { registeredStreamsOf } from './parts.js'
import { type RegisteredStream, toRegistered } from './record.js'
import type { RegisteredStreams } from './registered-streams.js'
import { stateOf } from './shared.js'
import { Slots } from './slots.js'

/**
 * What became of the job behind a stream that is silent: `active`, it runs, and was heard of by this; `completed` or
 * `failed`, and what came of it. Anything empty: it has not finished, and will not.
 */
export type JobCompletion =
  | { readonly state: 'active' }
  | {
      readonly state: 'completed' | 'failed'
      /** Anything that JSON can hold. */
      readonly result?: unknown
      readonly reason?: string | undefined
    }
  | null
  | undefined
  | false

export interface GuardianOptions {
  /**
   * Milliseconds between two looks.
   * @defaultValue 30_000
   */
  readonly intervalMs?: number | undefined
  /**
   * Milliseconds of silence after which a stream is asked for: more than `registry.heartbeatMs`, and, with
   * `checkJobCompletion`, less than `registry.orphanAfterMs`.
   * @defaultValue 30_000
   */
  readonly thresholdMs?: number | undefined
  /**
   * Asked before a silent stream is marked `orphaned`, by one guardian of all. When it throws or takes too long the
   * stream stays as it is, and is asked for again, until it has been silent for `registry.orphanAfterMs`.
   */
  readonly checkJobCompletion?:
    | ((stream: RegisteredStream) => JobCompletion | Promise<JobCompletion>)
    | undefined
  /**
   * Milliseconds that `checkJobCompletion` may take.
   * @defaultValue 10_000
   */
  readonly checkTimeoutMs?: number | undefined
  /**
   * Calls of `checkJobCompletion` at a time. Calls that hang hold up others only if there are so many of them, and then
   * for `checkTimeoutMs`.
   * @defaultValue 100
   */
  readonly maxChecks?: number | undefined
}

/** How all registered streams are. */
export interface GuardianHealth
  extends Pick<
    RegistryCounts,
    'active' | 'silent' | 'completed' | 'failed' | 'aborted' | 'orphaned'
  > {
  /** When the one that was not heard of for longest was heard of, by this process's clock. */
  readonly oldestHeartbeat: Date | undefined
}

export interface GuardianEvents {
  /** After each look. */
  health: [GuardianHealth]
  /** This guardian has given a stream its end. */
  orphaned: [RegisteredStream]
  completed: [RegisteredStream]
  failed: [RegisteredStream]
  /** Without a listener, what `onError` of the event stream does. */
  error: [unknown]
}

const names = ['intervalMs', 'thresholdMs', 'checkTimeoutMs', 'maxChecks', 'checkJobCompletion']

/** How much longer than its question a stream is held at most, for what is written afterwards. */
const marginMs = 10_000

/**
 * Looks after streams whose process has died: asks what became of their jobs, and gives them their end. Run one in
 * each process: of all of them, one asks for each stream and ends it.
 */
export class StreamGuardian extends EventEmitter<GuardianEvents> {
  readonly #streams: RegisteredStreams
  readonly #intervalMs: number
  readonly #thresholdMs: number
  readonly #checkTimeoutMs: number
  readonly #check: NonNullable<GuardianOptions['checkJobCompletion']>
  readonly #outages: Outages
  /** Of streams that are asked for: also since looks before this one. */
  readonly #slots: Slots
  readonly #asked = new Set<string>()
  #timer: NodeJS.Timeout | undefined
  #looking: Promise<void> | undefined
  /** Of the look that is under way. */
  #counts = { checks: 0, checkFailures: 0, orphaned: 0, completed: 0 }

  /** @throws EventStreamError `ERR_OPTION`. */
  constructor(eventStream: EventStream, options: GuardianOptions = {}) {
    super()
    this.#streams = registeredStreamsOf(eventStream)
    checkNames('StreamGuardian', options, names)
    const {
      intervalMs = 30_000,
      thresholdMs = 30_000,
      checkTimeoutMs = 10_000,
      maxChecks = 100,
      checkJobCompletion = () => undefined,
    } = options
    const numbers = { intervalMs, thresholdMs, checkTimeoutMs, maxChecks }
    for (const [name, value] of Object.entries(numbers)) checkWhole(name, value, 1, 2 ** 31 - 1)
    checkFunction('checkJobCompletion', checkJobCompletion)
    const { heartbeatMs, orphanAfterMs } = this.#streams.options
    if (thresholdMs <= heartbeatMs) {
      throw new EventStreamError(
        'ERR_OPTION',
        `thresholdMs is ${thresholdMs}; give more than registry.heartbeatMs (${heartbeatMs}), or what lives is taken for dead.`,
      )
    }
    if (options.checkJobCompletion !== undefined && thresholdMs >= orphanAfterMs) {
      throw new EventStreamError(
        'ERR_OPTION',
        `thresholdMs is ${thresholdMs}; give less than registry.orphanAfterMs (${orphanAfterMs}), or streams are orphaned before checkJobCompletion is asked.`,
      )
    }
    this.#intervalMs = intervalMs
    this.#thresholdMs = thresholdMs
    this.#checkTimeoutMs = checkTimeoutMs
    this.#check = checkJobCompletion
    this.#slots = new Slots(maxChecks)
    this.#outages = new Outages(this.#streams.store, {
      harmlessMs: thresholdMs - heartbeatMs,
      restMs: thresholdMs,
      startMs: heartbeatMs,
    })
  }

  /**
   * Looks now, and then at each interval. What it may decide it decides from `registry.heartbeatMs` on, by when all that
   * lives was heard of, even if the store was away until now. Called again, it does nothing.
   */
  start(): void {
    if (this.#timer !== undefined) return
    inBackground(() => {
      this.#timer = setInterval(() => void this.#look(), this.#intervalMs).unref()
      this.#outages.start()
      void this.#look()
    })
  }

  /** Resolves when what is under way is done. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#outages.stop()
    await this.#looking
    await this.#slots.done()
  }

  /** A look that takes longer than the interval is not joined by another one. */
  #look(): Promise<void> {
    this.#looking ??= this.#round()
      .catch((error) => this.#report(error))
      .finally(() => {
        this.#looking = undefined
      })
    return this.#looking
  }

  async #round(): Promise<void> {
    const startedAt = performance.now()
    this.#counts = { checks: 0, checkFailures: 0, orphaned: 0, completed: 0 }
    const unsettled = new Map<string, number>()
    // Of those that no answer was to be had for, it is known by then what to think.
    await this.#settleSilent(this.#streams.options.orphanAfterMs, true, unsettled)
    await this.#settleSilent(this.#thresholdMs, false, unsettled)
    // What takes longer is held until it is done, and the next look need not wait for it.
    await within(this.#slots.done(), this.#intervalMs / 2)
    this.#streams.guarded({ ...this.#counts, durationMs: performance.now() - startedAt })
    const { longestSilenceMs, ...counts } = await this.#outages.watch(() =>
      this.#streams.store.count(this.#thresholdMs),
    )
    const oldestHeartbeat =
      longestSilenceMs === undefined ? undefined : new Date(Date.now() - longestSilenceMs)
    this.#tell('health', { ...counts, oldestHeartbeat })
  }

  /** @param unsettled - What could not be settled comes in a later look; and until when it is held. */
  async #settleSilent(
    silentMs: number,
    isOverdue: boolean,
    unsettled: Map<string, number>,
  ): Promise<void> {
    const holdMs = this.#checkTimeoutMs + Math.min(marginMs, this.#intervalMs)
    const { store } = this.#streams
    for (;;) {
      // None is taken that would have to wait while it is held.
      await this.#slots.room()
      if (this.#timer === undefined || this.#outages.isRecent) return
      const holder = randomBytes(12).toString('base64url')
      const limit = this.#slots.free + countDue(unsettled)
      const wish = { silentMs, holder, holdMs, limit }
      const records = await this.#outages.watch(() => store.take(wish))
      // What was taken by a call that was held up may be alive as well.
      if (this.#outages.isRecent) return
      const heldUntil = performance.now() + holdMs
      for (const record of records) {
        const { id } = record
        const isNew = !unsettled.has(id) && !this.#asked.has(id)
        // Held again, so that nobody else asks either; those behind it come first.
        unsettled.set(id, heldUntil)
        if (!isNew) continue
        this.#asked.add(id)
        this.#slots.run(async () => {
          try {
            if (await this.#settle(record, holder, isOverdue)) unsettled.delete(id)
          } catch (error) {
            // One that fails holds up no other.
            this.#report(error)
          }
          this.#asked.delete(id)
        })
      }
      if (records.length < limit) return
    }
  }

  /** @returns Whether it has its end now, or was heard of. */
  async #settle(record: RegistryRecord, holder: string, isOverdue: boolean): Promise<boolean> {
    const { store } = this.#streams
    const { id } = record
    const stream = toRegistered(record)
    const end = (await this.#streams.inspect(id))?.end
    if (end !== undefined) {
      // Who has ended it did not come to tell the registry.
      const state = stateOf(end)
      if (await store.end(id, state)) this.#announce(stream, state)
      return true
    }
    const answer = await this.#ask(stream, isOverdue)
    if (answer === undefined) return false
    const isRunning = answer.state === 'active'
    if (isRunning && (await this.#streams.hear(id))) return true
    if (!(await store.settle(id, holder))) return false
    // It runs, but a guardian before this one has begun to end it, and whoever runs it was told so.
    const ending: StreamEnding = isRunning ? { state: 'orphaned' } : answer
    if (await this.#streams.end(id, ending)) this.#announce(stream, ending.state)
    return true
  }

  /** @returns undefined when there is no answer, and it is too early to do without. */
  async #ask(
    stream: RegisteredStream,
    isOverdue: boolean,
  ): Promise<StreamEnding | { readonly state: 'active' } | undefined> {
    this.#counts.checks += 1
    try {
      const completion = await this.#checkInTime(stream)
      if (!completion) return { state: 'orphaned' }
      const { state } = completion
      if (state === 'active') return { state }
      checkChoice('state', state, ['completed', 'failed'])
      const { result, reason } = completion
      encodeJson('The result of a job', result)
      encodeJson('The reason of a job', reason)
      const ending: StreamEnding = { state, result, reason }
      checkEnding(ending, this.#streams.maxEventBytes)
      return ending
    } catch (error) {
      this.#counts.checkFailures += 1
      this.#report(error)
      return isOverdue ? { state: 'orphaned' } : undefined
    }
  }

  async #checkInTime(stream: RegisteredStream): Promise<JobCompletion> {
    let completion: JobCompletion
    const asked = Promise.resolve(this.#check(stream)).then((answer) => {
      completion = answer
    })
    if (await within(asked, this.#checkTimeoutMs)) return completion
    // What comes later is nobody's business any more, nor its failure.
    asked.catch(() => undefined)
    throw new EventStreamError(
      'ERR_JOB_CHECK',
      `checkJobCompletion has not answered for the stream ${quote(stream.streamId)} within ${this.#checkTimeoutMs} ms.`,
    )
  }

  #announce(stream: RegisteredStream, state: StreamEnding['state']): void {
    this.#counts[state === 'orphaned' ? 'orphaned' : 'completed'] += 1
    const name = state === 'aborted' ? undefined : state
    if (name !== undefined) this.#tell(name, { ...stream, state })
  }

  #report(error: unknown): void {
    if (this.listenerCount('error') > 0) this.#tell('error', error)
    else this.#streams.onError(error)
  }

  /** A listener that throws is reported, and hurts nobody else. */
  #tell<Name extends keyof GuardianEvents>(name: Name, value: GuardianEvents[Name][0]): void {
    for (const listener of this.rawListeners(name)) {
      new Promise((resolve) => {
        resolve(Reflect.apply(listener, this, [value]))
      }).catch((error) => this.#streams.onError(error))
    }
  }
}

/** How many may be had again, as their hold has run out. */
function countDue(heldUntil: ReadonlyMap<string, number>): number {
  const now = performance.now()
  return [...heldUntil.values()].filter((until) => until <= now).length
}
