import type { RegistryStore } from '../log/registry-store.js'

/** Milliseconds between two questions, and that an answer may take, at least. */
const minPatienceMs = 500

export interface OutagesOptions {
  /** Milliseconds that the store may be away without harm. */
  readonly harmlessMs: number
  /** Milliseconds after an outage by which all that lives was heard of again. */
  readonly restMs: number
  /** Milliseconds after the start, as there may just have been one. */
  readonly startMs: number
}

/**
 * Whether silence means anything. While a store is away nothing that lives can be heard of, and all of it would be
 * taken for dead by who is the first to look when it is back.
 */
export class Outages {
  readonly #store: RegistryStore
  readonly #restMs: number
  readonly #startMs: number
  /** Between two questions, and for each: together no more than is harmless. */
  readonly #patienceMs: number
  #timer: NodeJS.Timeout | undefined
  #isAsking = false
  #isAway = false
  #restUntil = Number.NEGATIVE_INFINITY

  constructor(store: RegistryStore, { harmlessMs, restMs, startMs }: OutagesOptions) {
    this.#store = store
    this.#restMs = restMs
    this.#startMs = startMs
    this.#patienceMs = Math.max(harmlessMs / 2, minPatienceMs)
  }

  /** Whether the store is away, or was, or may have been, until a moment ago. */
  get isRecent(): boolean {
    return this.#isAway || performance.now() < this.#restUntil
  }

  /** Notices outages between two looks as well. */
  start(): void {
    this.#restUntil = Math.max(this.#restUntil, performance.now() + this.#startMs)
    this.#timer ??= setInterval(() => this.#ask(), this.#patienceMs).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** @throws What the call throws. */
  async watch<Result>(call: () => Promise<Result>): Promise<Result> {
    const startedAt = performance.now()
    try {
      const result = await call()
      const now = performance.now()
      const isLate = now - startedAt > this.#patienceMs
      if (this.#isAway || isLate) this.#restUntil = now + this.#restMs
      this.#isAway = false
      return result
    } catch (error) {
      this.#isAway = true
      throw error
    }
  }

  #ask(): void {
    if (this.#isAsking) return
    this.#isAsking = true
    // Any question does. Who looks next is told of the error, if it lasts.
    const answered = this.watch(() => this.#store.get('~')).catch(() => undefined)
    void answered.finally(() => {
      this.#isAsking = false
    })
  }
}
