import { PartTimers } from './part-timers.js'

/** For slow networks and long handshakes, however short an append may wait. */
const minMs = 5000

/** Connections that are being made: one may be accepted by what stands before a server, and never be answered. */
export class Handshakes<Part> {
  readonly #ms: number
  readonly #onSilence: (ms: number) => void
  readonly #timers = new PartTimers<Part>()

  constructor(ms: number, onSilence: (ms: number) => void) {
    this.#ms = Math.max(ms, minMs)
    this.#onSilence = onSilence
  }

  /** Something is to be heard of it, from now on. */
  begin(part: Part): void {
    this.#timers.set(part, this.#ms, () => this.#onSilence(this.#ms))
  }

  /** It was answered. */
  done(part: Part): void {
    this.#timers.clear(part)
  }

  close(): void {
    this.#timers.clearAll()
  }
}
