// What it uses of the DOM. The whole library of types would be there for all of src too.

/** What the page, or the worker, is told by the browser. Node has none of it. */
interface PageEvents {
  addEventListener?(type: string, listener: () => void, options: { signal: AbortSignal }): void
}

export const page = globalThis as unknown as PageEvents & {
  readonly document?: PageEvents & { readonly baseURI: string; readonly visibilityState: string }
  readonly location?: URL
  readonly navigator?: {
    readonly onLine?: boolean
    readonly serviceWorker?: { readonly controller: object | null }
  }
}

/**
 * @param until - Removes all listeners when it is aborted.
 * @param wake - Called when the network may be back, or the page was asleep.
 * @param suspend - Called when nothing will run until `wake`.
 */
export function watchPage(until: AbortController, wake: () => void, suspend: () => void): void {
  const { document } = page
  const on = (target: PageEvents | undefined, type: string, listener: () => void) =>
    target?.addEventListener?.(type, listener, until)
  on(page, 'online', wake)
  on(page, 'pageshow', wake)
  on(document, 'resume', wake)
  on(document, 'visibilitychange', () => {
    if (document?.visibilityState === 'visible') wake()
  })
  // A page with an open connection does not come back as it was left.
  on(page, 'pagehide', suspend)
  on(document, 'freeze', suspend)
}
