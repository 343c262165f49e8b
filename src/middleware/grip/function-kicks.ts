import { randomBytes } from 'node:crypto'
import { EventStreamError, quote } from '../../core/errors.js'
import { kindOf, shownName } from '../../core/log-names.js'
import { isThenable } from '../../core/thenable.js'

/** A stream that a proxy holds. All that listen to the same channels are one and the same here. */
export interface HeldStream {
  /** What it listens to: names of channels, or the id of a stream. */
  readonly channels: readonly string[]
  /** Which of the two. A stream and a channel may have the same name. */
  readonly kind: 'channels' | 'stream'
  readonly transport: 'grip'
}

/** @param names - In the log. */
type IsMeant = (names: readonly string[]) => boolean

/** @param names - In the log. */
export function heldStream(names: readonly string[]): HeldStream {
  return { channels: names.map(shownName), kind: kindOf(names), transport: 'grip' }
}

/**
 * What a function of the application says of a stream. Only `true` ends it.
 *
 * @throws EventStreamError `ERR_OPTION` when it is no boolean: a promise is true of every stream.
 */
export function isToEnd(answer: unknown): boolean {
  if (typeof answer === 'boolean') return answer
  const isPromise = isThenable(answer)
  // What it rejects with would be nobody's.
  if (isPromise) answer.then(undefined, () => undefined)
  const hint = isPromise ? ' Await what it needs before you call kick.' : ''
  throw new EventStreamError(
    'ERR_OPTION',
    `The function of kick must return true or false, got ${quote(answer)}; no stream is ended by it.${hint}`,
  )
}

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
  has(names: readonly string[], generation: string): boolean {
    const [process, count] = generation.split('.')
    const lookedAt = process === this.#process ? Number(count) : 0
    const now = performance.now()
    for (const [kick, { isMeant, until }] of this.#kicks) {
      if (until <= now) this.#kicks.delete(kick)
      else if (kick > lookedAt && this.#ask(kick, isMeant, names)) return true
    }
    return false
  }

  #ask(kick: number, isMeant: IsMeant, names: readonly string[]): boolean {
    try {
      return isToEnd(isMeant(names))
    } catch (error) {
      // Told once, and not of each stream that its proxy asks for.
      if (error instanceof EventStreamError) this.#kicks.delete(kick)
      this.#onError(error)
      return false
    }
  }
}
