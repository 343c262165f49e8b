/** What waits for a loop: an event, or the end of the loop, perhaps with the error that it fails by. */
interface Entry<Item> {
  readonly item?: Item
  /** The position before it. */
  readonly before?: string
  readonly error?: unknown
  isAtHand?: boolean
}

/** The `for await` loops of a source, and what they have not dealt with yet. */
export interface Loops<Item> {
  /** Where the slowest loop is, also of those that have ended with some left; undefined when all have all. */
  readonly position: string | undefined
  /** Whether as many events wait as may. */
  readonly isFull: boolean
  /** @returns When there is room for more. */
  room(): Promise<void>
  /** @param before - The position before it. */
  push(item: Item, before: string): void
  /** Drops what waits, but for what loops are at, which is dealt with. @returns The position then, if any waited. */
  drop(): string | undefined
  /** Loops end when they have dealt with all that waits, by an error if one is given. */
  end(error?: unknown): void
  /** What loops that have ended are left with is still theirs, and counts no more. */
  forget(): void
  /** @param onLeft - Called when the loop is left before it has dealt with all. */
  open(isEnded: boolean, onLeft: () => void): AsyncGenerator<Item, void, undefined>
}

/** @param onPassed - Called when an event has been dealt with. */
export function openLoops<Item>(maxQueued: number, onPassed: () => void): Loops<Item> {
  /** For each loop what it has not dealt with, the oldest first; of those that have ended until they are forgotten. */
  const queues = new Set<Entry<Item>[]>()
  /** They wait for something to change. */
  const wakers: (() => void)[] = []

  const change = () => new Promise<void>((resolve) => wakers.push(resolve))
  const wake = () => {
    for (const resolve of wakers.splice(0)) resolve()
  }
  const longest = () => [[], ...queues].sort((a, b) => b.length - a.length)[0] as Entry<Item>[]
  async function* drain(queue: Entry<Item>[], onLeft: () => void) {
    try {
      for (;;) {
        const [next] = queue
        if (!next) await change()
        else if (next.item) {
          next.isAtHand = true
          yield next.item
          // Unless what waited was dropped meanwhile.
          if (queue[0] === next) queue.shift()
          wake()
          onPassed()
        } else if (next.error) throw next.error
        else return
      }
    } finally {
      if (queues.has(queue) && queue[0]?.item) onLeft()
      queues.delete(queue)
    }
  }

  return {
    get position() {
      return longest()[0]?.before
    },
    get isFull() {
      return longest().length >= maxQueued
    },
    async room() {
      while (this.isFull) await change()
    },
    push(item, before) {
      for (const queue of queues) queue.push({ item, before })
      wake()
    },
    drop() {
      for (const queue of queues) if (queue[0]?.isAtHand) queue.shift()
      const { position } = this
      for (const queue of queues) queue.length = 0
      return position
    },
    end(error) {
      for (const queue of queues) queue.push({ error })
      wake()
    },
    forget: () => queues.clear(),
    open(isEnded, onLeft) {
      const queue: Entry<Item>[] = []
      if (isEnded) queue.push({})
      else queues.add(queue)
      return drain(queue, onLeft)
    },
  }
}
