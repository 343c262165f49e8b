/** Waits until a condition holds, looking every few milliseconds. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 10_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!(await condition())) {
    if (performance.now() > deadline) {
      throw new Error(`Still waiting after ${timeoutMs} ms for: ${condition.toString()}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
