import type { StreamEnd } from '../core/stream-end.js'
import { within } from '../core/within.js'
import type { NewRecord } from '../log/registry-store.js'
import type { RegisteredStreams } from './registered-streams.js'

/** How long `close` waits for the registry to have what was taken away. */
const farewellMs = 500

/** How much is remembered of what the registry could not be told; guardians find the rest. */
const maxGone = 10_000

/** Sets of channels that are remembered to be held. */
const maxHeld = 10_000

/** Tells the registry that something is gone; gives false when it is too early for that. */
type Tell = () => Promise<boolean>

interface Tracked {
  readonly record: NewRecord
  /** Settles when the registry has answered. */
  registering: Promise<void>
}

/**
 * Keeps records of what lives in this process: its connections, and the streams whose sources it runs. One
 * timer, and one command for each thousand of them.
 */
export class Tracker {
  readonly #streams: RegisteredStreams
  readonly #tracked = new Map<string, Tracked>()
  /** What is gone, and the registry does not know yet. */
  readonly #gone = new Map<string, Tell>()
  /** Of these, what it is being told. */
  readonly #telling = new Set<Tell>()
  /** What proxies hold, when it was registered last, and whose it was; null for several users'. */
  readonly #held = new Map<
    string,
    { readonly at: number; readonly user: string | null | undefined }
  >()
  readonly #underWay = new Set<Promise<void>>()
  #timer: NodeJS.Timeout | undefined
  #isBeating = false

  constructor(streams: RegisteredStreams) {
    this.#streams = streams
  }

  /** Registers it, and goes on saying that it lives. */
  add(record: NewRecord): void {
    const tracked = { record, registering: Promise.resolve() }
    this.#tracked.set(record.id, tracked)
    // What is still to be told of an earlier one is not to be taken for news of this one.
    this.#gone.delete(record.id)
    this.#timer ??= setInterval(() => this.#tick(), this.#streams.options.heartbeatMs).unref()
    this.#register(tracked, record)
  }

  /** A connection has ended as it should: nothing of it is kept. */
  remove(id: string): void {
    this.#leave(id, async () => {
      await this.#streams.calls.remove.call(id)
      return true
    })
  }

  /** A stream has ended here, and in the log, unless that is away. */
  end(id: string, state: StreamEnd): void {
    this.#leave(id, () => this.#streams.recordEnd(id, state))
  }

  /**
   * A proxy holds connections of these channels. Whose they are is known while all are the same user's.
   */
  hold(record: NewRecord): void {
    const { id, user } = record
    const known = this.#held.get(id)
    const isRecent =
      known !== undefined && performance.now() - known.at < this.#streams.options.heartbeatMs
    // Thousands may come at once.
    if (isRecent && (known.user === null || known.user === user)) return
    const isShared = known !== undefined && known.user !== user
    this.#held.delete(id)
    this.#held.set(id, { at: performance.now(), user: isShared ? null : user })
    if (this.#held.size > maxHeld) this.#held.delete(this.#held.keys().next().value as string)
    this.#do(this.#hold(isShared ? { ...record, user: undefined } : record))
  }

  /** Heard of something that may be registered, by whomever. */
  hear(id: string): void {
    this.#do(this.#streams.calls.heartbeat.call(id))
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#timer = undefined
    await within(Promise.all(this.#underWay), farewellMs)
  }

  #leave(id: string, tell: Tell): void {
    const tracked = this.#tracked.get(id)
    if (tracked === undefined) return
    this.#tracked.delete(id)
    if (this.#gone.size >= maxGone) this.#gone.delete(this.#gone.keys().next().value as string)
    this.#gone.set(id, tell)
    this.#telling.add(tell)
    // Stores may take two commands in any order.
    this.#do(tracked.registering.then(() => this.#tell(id, tell)))
  }

  async #tell(id: string, tell: Tell): Promise<void> {
    this.#telling.add(tell)
    try {
      if ((await tell()) && this.#gone.get(id) === tell) this.#gone.delete(id)
    } finally {
      this.#telling.delete(tell)
    }
  }

  #register(tracked: Tracked, record: NewRecord): void {
    const registering = this.#streams.calls.register.call(record).then((isRegistered) => {
      // Somebody has ended it, who took it for dead.
      if (!isRegistered && this.#tracked.get(record.id) === tracked) this.#tracked.delete(record.id)
    })
    this.#do(registering)
    tracked.registering = registering.catch(() => undefined)
  }

  async #hold(record: NewRecord): Promise<void> {
    const { calls, store } = this.#streams
    if (await calls.register.call(record)) return
    const isAlive = await calls.heartbeat.call(record.id)
    const known = isAlive ? await store.get(record.id) : undefined
    const isShared = known?.user !== undefined && known.user !== record.user
    if (isAlive && !isShared) return
    const user = isShared ? undefined : record.user
    await calls.register.call({ ...record, user, replaces: true })
  }

  /** Errors of the registry hold up nobody, and the next beat tries again. */
  #do(promise: Promise<unknown>): void {
    const task = promise
      .then(() => undefined)
      .catch((error) => this.#streams.onError(error))
      .finally(() => this.#underWay.delete(task))
    this.#underWay.add(task)
  }

  #tick(): void {
    if (this.#tracked.size === 0 && this.#gone.size === 0) {
      clearInterval(this.#timer)
      this.#timer = undefined
    }
    // A store that is slow is asked once at a time.
    if (this.#isBeating) return
    this.#isBeating = true
    this.#do(
      this.#beat().finally(() => {
        this.#isBeating = false
      }),
    )
  }

  async #beat(): Promise<void> {
    const { calls } = this.#streams
    const untold = [...this.#gone].filter(([, tell]) => !this.#telling.has(tell))
    await Promise.all([
      ...untold.map(([id, tell]) => this.#tell(id, tell)),
      ...[...this.#tracked.values()].map(async (tracked) => {
        const { record } = tracked
        if (await calls.heartbeat.call(record.id)) return
        if (this.#tracked.get(record.id) !== tracked) return
        // The registry has lost it, or somebody took it for dead: of a connection, it is known better here.
        this.#register(tracked, { ...record, replaces: record.kind === 'connection' })
      }),
    ])
  }
}
