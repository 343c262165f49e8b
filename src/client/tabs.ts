import type { Block } from './block-reader.js'
import type { SourceNews } from './events.js'

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
  /** The address of its stream; empty where it is a function. */
  readonly url: string
  readonly options: { readonly silenceMs: number }
  readonly lastEventId: string
  /** Its own; undefined while it has none. */
  readonly connection: object | undefined
  /** Places that this tab has been at. */
  readonly history: { has(position: string): boolean }
  /** Its `for await` loops. */
  readonly loops: { readonly isFull: boolean }
  connect(): void
  disconnect(): void
  take(block: Block): void
  /** Keeps its position. */
  save(): void
  tell(event: SourceNews): void
  failed(cause: unknown, retryInMs: number): Promise<void>
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
  /** This tab has told its own listeners. */
  told(event: SourceNews): void
  /** @param before - The position of this tab before it. */
  took(block: Block, before: string): void
  /** This tab has come further by its own connection. */
  settle(): void
}

/**
 * One connection for all tabs of an origin, where the browser has Web Locks and BroadcastChannel. Elsewhere
 * each has its own.
 *
 * @param group - Who shares: true is all streams of the same address.
 * @param signal - For as long as it takes part.
 * @returns undefined where the browser cannot.
 */
export function joinTabs(tab: Tab, group: string | true, signal: AbortSignal): Share | undefined {
  const { navigator, BroadcastChannel } = page
  const name = group === true ? tab.url : group
  if (!navigator?.locks || !BroadcastChannel || name === '') return undefined
  const own = `headwater ${name}`
  return new Tabs(own, tab, signal, navigator.locks, new BroadcastChannel(own))
}

/**
 * Each tab begins with a connection of its own; the one that gets the lock keeps it and tells the others what
 * comes, and these leave theirs as soon as they have been where the leader is. Who has missed something that
 * the leader told connects again until then, and so does the next leader, each after its own position.
 */
class Tabs implements Share {
  readonly #tab: Tab
  readonly #channel: Channel
  /** Gives the lock back: this tab is the leader. */
  #release: (() => void) | undefined
  /** Empty until the leader is heard, also after a question. */
  #leaderAt = ''

  constructor(name: string, tab: Tab, signal: AbortSignal, locks: LockManager, channel: Channel) {
    this.#tab = tab
    this.#channel = channel
    channel.onmessage = ({ data }) => this.#hear(data)
    const timer = setInterval(() => {
      // A tab that is stuck keeps the lock, and says nothing.
      if (this.#leaderAt === '') tab.connect()
      this.#leaderAt = ''
      this.ask()
    }, tab.options.silenceMs / 3)
    signal.addEventListener('abort', () => {
      clearInterval(timer)
      this.#release?.()
      channel.close()
    })
    const lead = () =>
      new Promise<void>((resolve) => {
        this.#release = resolve
        // It may have been granted just before it was given up.
        if (signal.aborted) resolve()
        else tab.connect()
      })
    // Without it, each tab keeps a connection of its own.
    locks.request(name, { signal }, lead).catch(() => undefined)
    this.ask()
  }

  ask(): void {
    this.#channel.postMessage({ isQuestion: true })
  }

  told({ type }: SourceNews): void {
    this.#tell({ isOpen: type === 'open' })
  }

  took(block: Block, before: string): void {
    // Whoever is where the stream opens has all that was before.
    this.#tell(block.event === 'stream-open' ? { block } : { block, before })
  }

  /** Does nothing unless this tab is the leader. */
  #tell(news: News): void {
    if (this.#release) this.#channel.postMessage({ ...news, at: this.#tab.lastEventId })
  }

  settle(): void {
    const tab = this.#tab
    if (this.#release || !tab.connection || this.#leaderAt === '') return
    if (!tab.loops.isFull && this.#hasBeenAt(this.#leaderAt)) tab.disconnect()
  }

  /** Whether this tab has been where the leader is, or was. */
  #hasBeenAt(position: string): boolean {
    return position === this.#tab.lastEventId || this.#tab.history.has(position)
  }

  #hear({ isQuestion, at = '', before = at, block, isOpen }: News): void {
    const tab = this.#tab
    if (isQuestion) this.#tell({})
    // Whoever has just been the leader may have had last words.
    if (isQuestion || this.#release) return
    this.#leaderAt = at
    if (tab.connection) this.settle()
    // Its own connection waits until there is room.
    else if (tab.loops.isFull || !this.#hasBeenAt(before)) tab.connect()
    else if (block) {
      tab.take(block)
      tab.save()
    } else if (isOpen) tab.tell({ type: 'open' })
    else if (isOpen === false) void tab.failed('Lost by another tab.', 0)
  }
}
