import type { Store } from './store.js'

/**
 * Milliseconds that whoever has been elected has to go on, before the others take it for dead. It measures by
 * its own clock whether it still may.
 */
export const settleMs = 500

/**
 * Elects one of all who ask, with nothing but a counter that only grows: who counts it up from where it has
 * been still for a while.
 *
 * @param decided - What the elected one leaves behind; undefined until it has.
 * @returns What another one has left behind; or when this one asked to be elected, by its own clock.
 */
export async function elect<Decision>(
  store: Store,
  key: string,
  decided: () => Promise<Decision | undefined>,
): Promise<{ readonly decision: Decision } | { readonly electedAt: number }> {
  for (let seen = 0; ; ) {
    const electedAt = performance.now()
    try {
      if ((await store.incr(key)) === seen + 1) return { electedAt }
    } catch (error) {
      // What was decided may be no number to count on from.
      const decision = await decided()
      if (decision === undefined) throw error
      return { decision }
    }
    const decision = await waitFor(decided, settleMs)
    if (decision !== undefined) return { decision }
    // Who was elected has died on the way, unless others are at it right now.
    seen = Number((await store.get(key)) ?? 0)
    await pause(20 + 30 * Math.random())
  }
}

/** Looks until there is something, or the time is over. */
export async function waitFor<Result>(
  look: () => Promise<Result | undefined>,
  timeoutMs: number,
): Promise<Result | undefined> {
  const deadline = performance.now() + timeoutMs
  for (let delayMs = 5; ; delayMs = Math.min(50, delayMs * 2)) {
    const result = await look()
    if (result !== undefined || performance.now() >= deadline) return result
    await pause(delayMs)
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
