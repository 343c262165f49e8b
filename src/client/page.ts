/** What the page, or the worker, is told by the browser. Node has none of it. */
interface PageEvents {
  addEventListener?(type: string, listener: () => void, options: { signal: AbortSignal }): void
}

const page = globalThis as unknown as PageEvents & {
  readonly document?: PageEvents & { readonly visibilityState: string }
}

export interface PageListener {
  /** The network may be back, or the page was asleep. */
  wake(): void
  /** Nothing will run until `wake`. */
  suspend(): void
}

/** @returns What removes all listeners. */
export function watchPage({ wake, suspend }: PageListener): () => void {
  const abort = new AbortController()
  const { document } = page
  const on = (target: PageEvents | undefined, types: readonly string[], listener: () => void) => {
    for (const type of types) target?.addEventListener?.(type, listener, abort)
  }
  on(page, ['online', 'pageshow'], wake)
  on(document, ['resume'], wake)
  on(document, ['visibilitychange'], () => {
    if (document?.visibilityState === 'visible') wake()
  })
  // A page with an open connection does not come back as it was left.
  on(page, ['pagehide'], suspend)
  on(document, ['freeze'], suspend)
  return () => abort.abort()
}
