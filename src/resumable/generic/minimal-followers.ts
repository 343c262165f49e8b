import type { EntryId } from '../../core/entry-id.js'
import { quoteName } from '../../core/log-names.js'
import type { LogListener, StoredEvent } from '../../log/event-log.js'
import { fromRows, fromText } from './entry-text.js'
import type { Store } from './store.js'

/** Where a stream is, and its last entries. */
interface Standing {
  readonly head: EntryId
  readonly tail: readonly StoredEvent[]
}

/** What followers need of the log. */
export interface FollowHost {
  readonly store: Store
  liveOf(channel: string): string
  look(channel: string): Promise<Standing>
}

interface Followed {
  readonly channel: string
  readonly followers: Set<LogListener>
  /** Resolves with what ends the messages. */
  readonly ready: Promise<() => void>
  /** The last entry that was told of. */
  seen: EntryId | undefined
}

/** Streams that are looked at with one another. */
const batch = 100

/** The streams that are followed here. Messages may be lost: so each is looked at now and then. */
export class MinimalFollowers {
  readonly #host: FollowHost
  readonly #pollMs: number
  readonly #byChannel = new Map<string, Followed>()
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(host: FollowHost, pollMs: number) {
    this.#host = host
    this.#pollMs = pollMs
  }

  async follow(channel: string, listener: LogListener): Promise<() => void> {
    const followed = this.#byChannel.get(channel) ?? this.#begin(channel)
    // One of its own, so that the same listener may follow twice.
    const follower: LogListener = {
      append: (entries) => listener.append(entries),
      suspect: () => listener.suspect(),
    }
    followed.followers.add(follower)
    const leave = () => {
      followed.followers.delete(follower)
      if (followed.followers.size === 0) this.#forget(followed)
    }
    try {
      await followed.ready
    } catch (error) {
      leave()
      throw error
    }
    return leave
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#byChannel.clear()
  }

  #begin(channel: string): Followed {
    const { store, liveOf } = this.#host
    const listening = store.listen(liveOf(channel), (text) => this.#message(followed, text))
    const ready = listening.then(async (stop) => {
      try {
        const { head } = await this.#host.look(channel)
        followed.seen ??= head
        return stop
      } catch (error) {
        stop()
        throw error
      }
    })
    const followed: Followed = { channel, followers: new Set(), ready, seen: undefined }
    // Whoever follows gets it.
    ready.catch(() => undefined)
    this.#byChannel.set(channel, followed)
    this.#timer ??= this.#nextPoll()
    return followed
  }

  #forget(followed: Followed): void {
    if (this.#byChannel.get(followed.channel) !== followed) return
    this.#byChannel.delete(followed.channel)
    // Where it never came to messages there are none to end.
    followed.ready.then((stop) => stop()).catch(() => undefined)
    if (this.#byChannel.size > 0) return
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #message(followed: Followed, text: string): void {
    const entries = fromRows(fromText(text))
    if (entries === undefined) {
      const what = `A message about the stream ${quoteName(followed.channel)}`
      this.#host.store.intake.drop(what, 'the stream is read instead')
      tell(followed, [])
      return
    }
    const last = entries.at(-1)?.id
    if (last !== undefined && last === followed.seen) return
    followed.seen = last ?? followed.seen
    tell(followed, entries)
  }

  #nextPoll(): NodeJS.Timeout {
    const poll = async () => {
      await this.#poll()
      // All may have left meanwhile, and others begun anew.
      if (this.#timer !== timer) return
      this.#timer = this.#isClosed ? undefined : this.#nextPoll()
    }
    const timer = setTimeout(() => void poll(), this.#pollMs).unref()
    return timer
  }

  async #poll(): Promise<void> {
    const all = [...this.#byChannel.values()]
    for (let i = 0; i < all.length; i += batch) {
      await Promise.allSettled(all.slice(i, i + batch).map((followed) => this.#check(followed)))
    }
  }

  async #check(followed: Followed): Promise<void> {
    const { seen } = followed
    const { head, tail } = await this.#host.look(followed.channel)
    // Messages came while it was looked, so they come.
    if (seen === undefined || followed.seen !== seen || seen === head) return
    followed.seen = head
    const next = tail.findIndex(({ prevId }) => prevId === seen)
    tell(followed, next === -1 ? [] : tail.slice(next))
  }
}

function tell({ followers }: Followed, entries: readonly StoredEvent[]): void {
  for (const follower of [...followers]) {
    if (entries.length === 0) follower.suspect()
    else follower.append(entries)
  }
}
