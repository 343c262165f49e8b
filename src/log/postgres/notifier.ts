import { type EntryId, isEntryId, seqOf } from '../../core/entry-id.js'

/** The longest notification, in bytes: Postgres takes 7999. */
const maxPayload = 7900

/** Instead of channels that are too many. */
export const anyChannel = '*'

/** Between two notifications while there is much to tell, in milliseconds. */
const spacingMs = 5

/**
 * Tells other processes which channels have new entries: a hint, that may be lost. What is appended
 * while one is under way goes into the next one, as Postgres commits transactions that notify one by one.
 *
 * A notification is `<channel>:<id>` for each, with a space between them, names percent-encoded; or `*`
 * where that would be too long. Postgres tells by itself of marks, and of streams: of those whose producer is gone by
 * `<channel>:<seq>`, of those that were dropped by `<channel>:-1`.
 */
export class Notifier {
  readonly #send: (payload: string) => Promise<unknown>
  readonly #moved = new Map<string, EntryId>()
  #sending: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #sentAt = 0

  constructor(send: (payload: string) => Promise<unknown>) {
    this.#send = send
  }

  /** @param name - As it is stored. */
  moved(name: string, head: EntryId): void {
    this.#moved.set(name, head)
    if (this.#sending !== undefined || this.#timer !== undefined) return
    const waitMs = this.#sentAt + spacingMs - performance.now()
    if (waitMs <= 0) this.#flush()
    else this.#timer = setTimeout(() => this.#flush(), waitMs)
  }

  /** Resolves when all that was to be told is. */
  async close(): Promise<void> {
    while (this.#sending !== undefined || this.#moved.size > 0) {
      if (this.#sending === undefined) this.#flush()
      await this.#sending
    }
  }

  #flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#sending = Promise.resolve()
      // What is appended in this turn goes along.
      .then(() => this.#send(this.#take()))
      .then(undefined, () => undefined)
      .then(() => {
        this.#sending = undefined
        this.#sentAt = performance.now()
        if (this.#moved.size > 0) this.#timer ??= setTimeout(() => this.#flush(), spacingMs)
      })
  }

  #take(): string {
    const payload = [...this.#moved].map(([name, head]) => `${name}:${head}`).join(' ')
    this.#moved.clear()
    return payload.length > maxPayload ? anyChannel : payload
  }
}

/** What a notification tells of a channel. */
export interface Hint {
  readonly name: string
  /** -1 for what was dropped. */
  readonly seq: number
  /** undefined where it is not told. */
  readonly id: EntryId | undefined
}

/** @returns undefined when it may be any channel. */
export function parseHints(payload: string): readonly Hint[] | undefined {
  const hints = payload.split(' ').map((hint) => {
    const end = hint.lastIndexOf(':')
    const place = hint.slice(end + 1)
    const id = isEntryId(place) ? place : undefined
    return { name: hint.slice(0, end), seq: id === undefined ? Number(place) : seqOf(id), id }
  })
  return hints.every(({ name, seq }) => name !== '' && Number.isSafeInteger(seq))
    ? hints
    : undefined
}
