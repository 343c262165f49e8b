import type { EventLog } from '../../src/index.js'

/** A log that does what another one does, but for some methods. */
export function wrapLog(inner: EventLog, own: Partial<EventLog>): EventLog {
  return {
    append: (...args) => inner.append(...args),
    read: (...args) => inner.read(...args),
    heads: (...args) => inner.heads(...args),
    follow: (...args) => inner.follow(...args),
    closeChannel: (...args) => inner.closeChannel(...args),
    close: () => inner.close(),
    ...own,
  }
}
