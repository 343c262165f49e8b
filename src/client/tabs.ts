import type { Block } from './block-reader.js'
import { toError } from './errors.js'
import type { SourceEvent } from './events.js'

// What it uses of the DOM.
interface LockManager {
  request(
    name: string,
    options: { readonly signal: AbortSignal },
    hold: () => Promise<void>,
  ): Promise<void>
}
interface Channel {
  onmessage: ((event: { readonly data: News }) => void) | null
  postMessage(news: News): void
  close(): void
}
const page = globalThis as unknown as {
  readonly navigator?: { readonly locks?: LockManager }
  readonly BroadcastChannel?: new (name: string) => Channel
}

/** One tab, to the others. */
export interface Tab {
  readonly lastEventId: string
  readonly isConnected: boolean
  /** Whether as many events wait as may. */
  readonly isFull: boolean
  /** Whether this tab has been where the leader is. */
  hasBeenAt(position: string): boolean
  connect(): void
  disconnect(): void
  take(block: Block): void
  tell(event: SourceEvent): void
}

/**
 * What tabs tell one another. The leader tells where it is; with a block, also the position before it.
 * One that asks wants to hear where the leader is.
 */
interface News {
  readonly isQuestion?: boolean
  readonly at?: string
  readonly before?: string | undefined
  readonly block?: Block
  readonly isOpen?: boolean
}

/** A tab's part among the others. */
export interface Share {
  /** Something may have been missed. */
  ask(): void
  /** Does nothing unless this tab is the leader. */
  tell(news: News): void
  /** This tab has come further by its own connection. */
  settle(): void
  leave(): void
}

/** @returns undefined where the browser cannot. */
export type JoinTabs = (tab: Tab, url: string) => Share | undefined

/**
 * One connection for all tabs of an origin, where the browser has Web Locks and BroadcastChannel. Elsewhere
 * each has its own.
 *
 * @param name - Who shares: by default all streams of the same address. Needed where that is a function.
 */
export function shareTabs(name?: string): JoinTabs {
  return (tab, url) => {
    const { navigator, BroadcastChannel } = page
    if (!navigator?.locks || BroadcastChannel === undefined || (name ?? url) === '')
      return undefined
    const own = `headwater ${name ?? url}`
    return new Tabs(own, tab, navigator.locks, new BroadcastChannel(own))
  }
}

/**
 * Each tab begins with a connection of its own; the one that gets the lock keeps it and tells the others what
 * comes, and these leave theirs as soon as they have been where the leader is. Who has missed something that
 * the leader told connects again until then, and so does the next leader, each after its own position.
 */
class Tabs implements Share {
  readonly #tab: Tab
  readonly #channel: Channel
  readonly #abort = new AbortController()
  #release: (() => void) | undefined
  #leaderAt = ''

  constructor(name: string, tab: Tab, locks: LockManager, channel: Channel) {
    this.#tab = tab
    this.#channel = channel
    channel.onmessage = ({ data }) => this.#hear(data)
    const lead = () =>
      new Promise<void>((resolve) => {
        this.#release = resolve
        // It may have been granted just before it was given up.
        if (this.#abort.signal.aborted) resolve()
        else tab.connect()
      })
    // Without it, each tab keeps a connection of its own.
    locks.request(name, { signal: this.#abort.signal }, lead).catch(() => undefined)
    this.ask()
  }

  ask(): void {
    this.#channel.postMessage({ isQuestion: true })
  }

  tell(news: News): void {
    if (this.#release) this.#channel.postMessage({ ...news, at: this.#tab.lastEventId })
  }

  settle(): void {
    const tab = this.#tab
    if (this.#release || !tab.isConnected || this.#leaderAt === '') return
    if (!tab.isFull && tab.hasBeenAt(this.#leaderAt)) tab.disconnect()
  }

  leave(): void {
    this.#abort.abort()
    this.#release?.()
    this.#channel.close()
  }

  #hear({ isQuestion, at = '', before = at, block, isOpen }: News): void {
    const tab = this.#tab
    if (isQuestion) this.tell({})
    // Whoever has just been the leader may have had last words.
    if (isQuestion || this.#release) return
    this.#leaderAt = at
    if (tab.isConnected) this.settle()
    // Its own connection waits until there is room.
    else if (tab.isFull || !tab.hasBeenAt(before)) tab.connect()
    else if (block) tab.take(block)
    else if (isOpen) tab.tell({ type: 'open' })
    else if (isOpen === false) tab.tell({ type: 'error', error: toError(undefined), retryInMs: 0 })
  }
}
