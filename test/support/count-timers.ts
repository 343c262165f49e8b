import { createHook } from 'node:async_hooks'

export interface TimerCount {
  readonly alive: number
  /** Waits until no more than so many are alive, without making a timer. */
  fallsTo(count: number): Promise<void>
  stop(): void
}

/** Counts the timers made from now on, also those that would not keep the process running. */
export function countTimers(): TimerCount {
  const alive = new Set<number>()
  const hook = createHook({
    init: (id, type) => {
      if (type === 'Timeout') alive.add(id)
    },
    destroy: (id) => alive.delete(id),
  }).enable()
  return {
    get alive() {
      return alive.size
    },
    fallsTo: async (count) => {
      const deadline = performance.now() + 15_000
      while (alive.size > count && performance.now() < deadline) {
        await new Promise((resolve) => setImmediate(resolve))
      }
    },
    stop: () => hook.disable(),
  }
}
