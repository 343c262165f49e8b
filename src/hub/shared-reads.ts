import type { EntryId } from '../core/entry-id.js'
import type { EventLog, Page, PageLimit, ReadFrom } from '../log/event-log.js'

/** Reads once what many ask for at the same time. */
export class SharedReads {
  readonly #log: EventLog
  readonly #pages = new Map<string, Promise<Page>>()
  readonly #heads = new Map<string, Promise<readonly EntryId[]>>()

  constructor(log: EventLog) {
    this.#log = log
  }

  read(channel: string, from: ReadFrom, limit: PageLimit): Promise<Page> {
    const key = JSON.stringify([channel, from, limit])
    return share(this.#pages, key, () => this.#log.read(channel, from, limit))
  }

  heads(channels: readonly string[]): Promise<readonly EntryId[]> {
    return share(this.#heads, JSON.stringify(channels), () => this.#log.heads(channels))
  }
}

/** Starts what nobody has under way under this key, or gives what somebody has. */
export function share<T>(
  underWay: Map<string, Promise<T>>,
  key: string,
  start: () => Promise<T>,
): Promise<T> {
  let result = underWay.get(key)
  if (result === undefined) {
    result = start().finally(() => underWay.delete(key))
    underWay.set(key, result)
  }
  return result
}
