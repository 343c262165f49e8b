import type { SourceEvent, StreamMessage } from './events.js'

export type Listener = (event: never) => void

/** Listeners by name. One that throws keeps nothing from the others. */
export class Listeners {
  readonly #byType = new Map<string, Set<Listener>>()

  of(type: string): Set<Listener> {
    const listeners = this.#byType.get(type) ?? new Set()
    this.#byType.set(type, listeners)
    return listeners
  }

  call(
    handler: Listener | null,
    types: readonly string[],
    event: SourceEvent | StreamMessage,
  ): void {
    for (const listener of [handler, ...types.flatMap((type) => [...this.of(type)])]) {
      try {
        listener?.(event as never)
      } catch (error) {
        // As the platform reports what its own listeners throw.
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }
}
