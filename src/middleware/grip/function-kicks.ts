import { randomBytes } from 'node:crypto'

/** A stream that a proxy holds. All that listen to the same channels are one and the same here. */
export interface HeldStream {
  readonly channels: readonly string[]
  readonly transport: 'grip'
}

type IsMeant = (stream: HeldStream) => boolean

/**
 * Which streams are to be ended when their proxy next asks for them. Those that opened since, or were
 * looked at and let be, are told by the generation that they were given then.
 */
export class FunctionKicks {
  readonly #process = randomBytes(6).toString('base64url')
  readonly #kicks = new Map<number, { readonly isMeant: IsMeant; readonly until: number }>()
  readonly #onError: (error: unknown) => void
  #count = 0

  constructor(onError: (error: unknown) => void) {
    this.#onError = onError
  }

  /** Of streams that are answered now; empty as long as nobody is kicked. */
  get generation(): string {
    return this.#count === 0 ? '' : `${this.#process}.${this.#count}`
  }

  /** @param ms - For how long it is in force. */
  add(isMeant: IsMeant, ms: number): void {
    this.#count += 1
    this.#kicks.set(this.#count, { isMeant, until: performance.now() + ms })
  }

  /** @param generation - What the stream was given; one of another process tells nothing. */
  has(channels: readonly string[], generation: string): boolean {
    const [process, count] = generation.split('.')
    const lookedAt = process === this.#process ? Number(count) : 0
    const now = performance.now()
    for (const [kick, { isMeant, until }] of this.#kicks) {
      if (until <= now) this.#kicks.delete(kick)
      else if (kick > lookedAt && this.#ask(isMeant, channels)) return true
    }
    return false
  }

  #ask(isMeant: IsMeant, channels: readonly string[]): boolean {
    try {
      return isMeant({ channels, transport: 'grip' })
    } catch (error) {
      this.#onError(error)
      return false
    }
  }
}
