/** Longest time, in milliseconds, that a request may take from its check of rights to its stream. */
const memoryMs = 60_000

/** Remembers kicks for as long as a stream may still open whose rights were checked before. */
export class RecentKicks {
  /** When, by channel; the earliest first. */
  readonly #times = new Map<string, number>()

  add(channel: string): void {
    const now = performance.now()
    for (const [name, at] of this.#times) {
      if (now - at < memoryMs) break
      this.#times.delete(name)
    }
    this.#times.delete(channel)
    this.#times.set(channel, now)
  }

  /** @param since - As `performance.now()` gives it. */
  hasAny(channels: readonly string[], since: number): boolean {
    return channels.some((channel) => (this.#times.get(channel) ?? -1) >= since)
  }
}
