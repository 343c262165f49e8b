/** For slow networks and long handshakes, however short an append may wait. */
const minMs = 5000

/** Connections that are being made: one may be accepted by what stands before a server, and never be answered. */
export class Handshakes<Part> {
  readonly #ms: number
  readonly #onSilence: (ms: number) => void
  readonly #timers = new Map<Part, NodeJS.Timeout>()

  constructor(ms: number, onSilence: (ms: number) => void) {
    this.#ms = Math.max(ms, minMs)
    this.#onSilence = onSilence
  }

  /** Something is to be heard of it, from now on. */
  begin(part: Part): void {
    clearTimeout(this.#timers.get(part))
    const timer = setTimeout(() => this.#onSilence(this.#ms), this.#ms).unref()
    this.#timers.set(part, timer)
  }

  /** It was answered. */
  done(part: Part): void {
    clearTimeout(this.#timers.get(part))
    this.#timers.delete(part)
  }

  close(): void {
    for (const part of this.#timers.keys()) this.done(part)
  }
}
