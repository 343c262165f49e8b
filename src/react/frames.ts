// What it uses of the DOM. Node has none of it.
const page = globalThis as unknown as {
  requestAnimationFrame?(run: () => void): number
  cancelAnimationFrame?(frame: number): void
}

/** Milliseconds after which a page is taken for hidden: it has no frames. */
const hiddenMs = 100

/** Milliseconds where there are no frames at all. */
const framelessMs = 16

const waiting = new Set<() => void>()
let frame: number | undefined
let timer: ReturnType<typeof setTimeout> | undefined

/** Runs it before the next frame is painted, together with all that wait: once, however often it is asked for. */
export function beforeNextFrame(run: () => void): void {
  waiting.add(run)
  if (timer !== undefined) return
  frame = page.requestAnimationFrame?.(runAll)
  timer = setTimeout(runAll, frame === undefined ? framelessMs : hiddenMs)
}

/** It is not run, and nothing stays behind when it was the last one. */
export function forget(run: () => void): void {
  waiting.delete(run)
  if (waiting.size === 0) cancel()
}

function runAll(): void {
  cancel()
  const all = [...waiting]
  waiting.clear()
  for (const run of all) run()
}

function cancel(): void {
  clearTimeout(timer)
  timer = undefined
  if (frame !== undefined) page.cancelAnimationFrame?.(frame)
  frame = undefined
}
