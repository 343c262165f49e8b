/** Who shares a connection. */
export type SharedTabs = string | true

/**
 * One connection for all tabs of an origin, where the browser has Web Locks and BroadcastChannel. Elsewhere
 * each has its own. The same as the option `shareTabs`.
 *
 * @param name - Who shares: by default all streams of the same address. Needed where that is a function.
 */
export function shareTabs(name: string | true = true): SharedTabs {
  return name
}
