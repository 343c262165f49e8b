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

/** Channels of a log that are followed now, and how often any was. */
export interface FollowCounts {
  followers: number
  follows: number
}

/** A log that counts who follows. */
export interface CountedLog {
  readonly log: EventLog
  readonly counts: Readonly<FollowCounts>
}

export function countFollowers(inner: EventLog): CountedLog {
  const { follow, counts } = countedFollow(inner)
  return { log: wrapLog(inner, { follow }), counts }
}

/** A log's `follow`, and how often it was called. */
export function countedFollow(inner: EventLog) {
  const counts: FollowCounts = { followers: 0, follows: 0 }
  const follow: EventLog['follow'] = async (...args) => {
    const unfollow = await inner.follow(...args)
    counts.followers += 1
    counts.follows += 1
    return () => {
      counts.followers -= 1
      unfollow()
    }
  }
  return { follow, counts }
}
