/**
 * Milliseconds that Pushpin waits for an event that should come before another (`message_wait`), and
 * a little more.
 */
const waitMs = 6000

/** Channels that are remembered. */
const maxChannels = 10_000

/**
 * Knows to which channels this process has published long enough. A proxy that gets events from several
 * processes keeps one back when it has not seen the one before, and all behind it; if the process that
 * had that one is no more, or could not reach the proxy, it waits in vain. Until then, clients are told
 * to ask.
 */
export class Chains {
  readonly #since = new Map<string, number>()

  /** Whether the proxies may be waiting for something before what is published now. */
  mayWait(channel: string): boolean {
    const now = performance.now()
    const since = this.#since.get(channel)
    if (since !== undefined) return now - since < waitMs
    this.#since.set(channel, now)
    if (this.#since.size > maxChannels) {
      const [first] = this.#since.keys()
      this.#since.delete(first as string)
    }
    return true
  }

  /** A proxy has not had all of it. */
  broke(channel: string): void {
    this.#since.delete(channel)
  }
}
