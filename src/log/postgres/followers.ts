import { encodeChannelName } from '../../core/cursor.js'
import { type EntryId, seqOf } from '../../core/entry-id.js'
import type { LogListener, StoredEvent } from '../event-log.js'
import type { Intake } from '../intake.js'
import { unknownPlace } from './format.js'
import { anyChannel, parseHints } from './notifier.js'
import type { News } from './reads.js'

/** What following needs of the log. Names are those of channels as they are stored. */
export interface FollowHost {
  /** Resolves when notifications are listened to. */
  listening(): Promise<void>
  /** Whether a notification can be expected to come. */
  readonly hears: boolean
  /** None has come that should have. */
  missed(): void
  heads(channels: readonly string[]): Promise<readonly EntryId[]>
  /** Whether this entry is known to have been in the log. */
  knows(name: string, id: EntryId): boolean
  /** What has come behind an entry of each channel, in one query. */
  news(names: readonly string[], after: readonly EntryId[]): Promise<readonly (News | undefined)[]>
  readonly intake: Intake
}

export interface FollowTimes {
  /** The longest time between two looks for what no notification has told of. */
  readonly pollMs: number
}

/** Channels of one query for entries; each gives a page. */
const maxLooks = 100

/** How soon is looked again, once something was missed or notifications do not come. */
const soonMs = 500

class Followed {
  readonly channel: string
  readonly name: string
  readonly followers = new Set<LogListener>()
  /** Resolves when it is known where the channel is. */
  ready: Promise<void> = Promise.resolve()
  /** The last entry that was told of. */
  seen: EntryId | undefined

  constructor(channel: string, name: string) {
    this.channel = channel
    this.name = name
  }

  tell(entries: readonly StoredEvent[]): void {
    this.seen = entries.at(-1)?.id
    for (const follower of [...this.followers]) follower.append(entries)
  }

  suspect(): void {
    for (const follower of [...this.followers]) follower.suspect()
  }
}

/**
 * The channels that somebody in this process follows. Whatever says that one of them has moved (a
 * notification, an append of this process, a look at all heads now and then) is a hint only: entries are told as
 * they are read, one behind the other, by one query for all channels that have moved.
 */
export class Followers {
  readonly #host: FollowHost
  readonly #pollMs: number
  readonly #byName = new Map<string, Followed>()
  readonly #moved = new Set<Followed>()
  #reading: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #intervalMs: number
  #comparing = false
  #compareAgain = false
  #isClosed = false

  constructor(host: FollowHost, { pollMs }: FollowTimes) {
    this.#host = host
    this.#pollMs = pollMs
    this.#intervalMs = pollMs
  }

  async follow(channel: string, listener: LogListener): Promise<() => void> {
    const followed = this.#followed(channel)
    // One of its own, so that the same listener may follow twice.
    const follower: LogListener = {
      append: (entries) => listener.append(entries),
      suspect: (head) => listener.suspect(head),
    }
    followed.followers.add(follower)
    const leave = () => {
      if (followed.followers.delete(follower) && followed.followers.size === 0)
        this.#forget(followed)
    }
    try {
      await followed.ready
    } catch (error) {
      leave()
      throw error
    }
    return leave
  }

  get size(): number {
    return this.#byName.size
  }

  /** This process has appended: its own followers need not read it. */
  appended(name: string, entries: readonly StoredEvent[]): void {
    const followed = this.#byName.get(name)
    const [first] = entries
    if (followed === undefined || first === undefined) return
    if (followed.seen === first.prevId) followed.tell(entries)
    else {
      const { id } = entries.at(-1) as StoredEvent
      this.#hint(followed, seqOf(id), id)
    }
  }

  /** A notification came. */
  notified(payload: string): void {
    const hints = parseHints(payload)
    if (hints === undefined) {
      if (payload !== anyChannel) {
        this.#host.intake.drop('A notification', 'all channels are looked at')
      }
      this.check()
      return
    }
    for (const { name, seq, id } of hints) {
      const followed = this.#byName.get(name)
      if (followed === undefined) continue
      if (seq >= 0) this.#hint(followed, seq, id)
      else this.#dropped(followed)
    }
  }

  /** Looks at all channels now: notifications may have been lost. */
  check(): void {
    if (this.#byName.size === 0) return
    clearTimeout(this.#timer)
    this.#poll(false)
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#byName.clear()
    this.#moved.clear()
  }

  #followed(channel: string): Followed {
    const name = encodeChannelName(channel)
    let followed = this.#byName.get(name)
    if (followed === undefined) {
      followed = new Followed(channel, name)
      this.#byName.set(name, followed)
      followed.ready = this.#begin(followed)
      // Whoever follows gets it; nobody may be left by then.
      followed.ready.catch(() => undefined)
      if (this.#timer === undefined) this.#pollLater()
    }
    return followed
  }

  async #begin(followed: Followed): Promise<void> {
    try {
      await this.#host.listening()
      const [head] = await this.#host.heads([followed.channel])
      followed.seen ??= head
      // Whoever needs to know where the log is need not ask again.
      for (const follower of [...followed.followers]) follower.suspect(followed.seen)
      // It may have moved meanwhile, when there was nothing to compare with.
      if (this.#moved.has(followed)) this.#readSoon()
    } catch (error) {
      this.#forget(followed)
      throw error
    }
  }

  #forget(followed: Followed): void {
    if (this.#byName.get(followed.name) !== followed) return
    this.#byName.delete(followed.name)
    this.#moved.delete(followed)
    if (this.#byName.size > 0) return
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#intervalMs = this.#pollMs
  }

  /** What has this name now began anew, perhaps by the same ids: it is looked at from a place that it cannot have. */
  #dropped(followed: Followed): void {
    if (followed.seen !== undefined) followed.seen = unknownPlace
    this.#moved.add(followed)
    this.#readSoon()
  }

  /** A place before the last entry that was told of may be that of a log that went back, unless it is known. */
  #hint(followed: Followed, seq: number, id: EntryId | undefined): void {
    const { seen, name } = followed
    const isOld = seen !== undefined && seq <= seqOf(seen)
    if (isOld && (id === undefined || id === seen || this.#host.knows(name, id))) return
    this.#moved.add(followed)
    this.#readSoon()
  }

  #readSoon(): void {
    if (this.#reading !== undefined || this.#isClosed) return
    this.#reading = this.#readAll().finally(() => {
      this.#reading = undefined
      if (this.#next(1).length > 0) this.#readSoon()
    })
  }

  /** Those that have moved first, and of which it is known where they are. */
  #next(count: number): Followed[] {
    const next: Followed[] = []
    for (const followed of this.#moved) {
      if (next.length === count) break
      if (followed.seen !== undefined) next.push(followed)
    }
    return next
  }

  async #readAll(): Promise<void> {
    // What comes in the same turn is read along.
    await Promise.resolve()
    const some = this.#next(maxLooks)
    if (some.length === 0) return
    for (const followed of some) this.#moved.delete(followed)
    const after = some.map(({ seen }) => seen as EntryId)
    try {
      const names = some.map(({ name }) => name)
      const news = await this.#host.news(names, after)
      for (const [i, followed] of some.entries()) {
        this.#take(followed, after[i] as EntryId, news[i])
      }
    } catch {
      // Postgres is away, which its owner knows. All that has moved is found again by its head.
      this.#pollSoon()
    }
  }

  #take(followed: Followed, after: EntryId, news: News | undefined): void {
    if (this.#byName.get(followed.name) !== followed) return
    const seen = followed.seen as EntryId
    if (news?.entries === undefined) {
      // Told by this process meanwhile: to be seen from there.
      if (seen !== after) this.#moved.add(followed)
      else {
        followed.seen = news?.head
        followed.suspect()
      }
      return
    }
    const fresh = news.entries.filter(({ id }) => seqOf(id) > seqOf(seen))
    const isNext = fresh[0]?.prevId === seen
    if (isNext) followed.tell(fresh)
    if (seqOf(news.head) > seqOf(followed.seen as EntryId)) this.#moved.add(followed)
  }

  /** Notices that something was lost, and does not wait for the next time. */
  #pollSoon(): void {
    this.#intervalMs = Math.min(soonMs, this.#pollMs)
    this.#pollLater()
  }

  #pollLater(): void {
    clearTimeout(this.#timer)
    if (this.#isClosed || this.#byName.size === 0) return
    const isFull = this.#intervalMs === this.#pollMs
    // Not all processes at once: the steps on the way to the full interval are random.
    const delayMs = isFull ? this.#pollMs : this.#intervalMs * (0.75 + Math.random() / 4)
    this.#timer = setTimeout(() => this.#poll(true), delayMs).unref()
  }

  /** @param shouldKnow - Whether what has moved should have been told of. */
  #poll(shouldKnow: boolean): void {
    if (this.#comparing) {
      this.#compareAgain = true
      return
    }
    this.#comparing = true
    this.#compare()
      .then((hasMoved) => {
        const isMissed = shouldKnow && hasMoved
        if (isMissed && this.#host.hears) this.#host.missed()
        const isQuiet = !isMissed && this.#host.hears
        this.#intervalMs = Math.min(this.#pollMs, isQuiet ? this.#intervalMs * 2 : soonMs)
      })
      // Away: they are asked again when it is back, or so often.
      .catch(() => undefined)
      .finally(() => {
        this.#comparing = false
        if (this.#compareAgain) this.#poll(false)
        else this.#pollLater()
      })
    this.#compareAgain = false
  }

  /** @returns Whether something had moved that nobody had told of. */
  async #compare(): Promise<boolean> {
    const all = [...this.#byName.values()].filter(({ seen }) => seen !== undefined)
    if (all.length === 0) return false
    const before = all.map(({ seen }) => seen)
    const heads = await this.#host.heads(all.map(({ channel }) => channel))
    const moved = all.filter(
      (followed, i) =>
        followed.seen === before[i] && followed.seen !== heads[i] && !this.#moved.has(followed),
    )
    for (const followed of moved) this.#moved.add(followed)
    if (moved.length > 0) this.#readSoon()
    return moved.length > 0
  }
}
