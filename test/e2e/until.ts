import { setTimeout as delay } from 'node:timers/promises'

/** Waits until a condition is true, and fails with what `describe` says when it takes too long. */
export async function until(
  isTrue: () => boolean | Promise<boolean>,
  describe: () => string | Promise<string>,
  timeoutMs = 30_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!(await isTrue())) {
    if (performance.now() > deadline) throw new Error(await describe())
    await delay(10)
  }
}
