import { type EntryId, isEntryId, seqOf } from '../core/entry-id.js'
import { EventStreamError } from '../core/errors.js'
import { controlEvents, type EncodedEvent } from '../core/event.js'
import { canEnd, quoteName } from '../core/log-names.js'
import { isEndId } from '../core/stream-end.js'
import type { StoredEvent } from './event-log.js'

/**
 * The gate for what a store gives: each backend parses what it gets, drops what is not its own, and tells this.
 * So whatever something else writes into a store costs its own place and nothing more.
 */
export class Intake {
  readonly #watchers = new Set<(error: unknown) => void>()

  /**
   * Tells that something was dropped.
   *
   * @param what - To begin a sentence with: `A live message of the channel "a"`.
   * @param consequence - What was done instead.
   */
  drop(what: string, consequence: string): void {
    if (this.#watchers.size > 0) this.#tell(unreadable(what, consequence))
  }

  /** A listener for a driver. Nothing is thrown out of it: some drivers end the process then, or the connection. */
  guard<Args extends unknown[]>(listener: (...args: Args) => void): (...args: Args) => void {
    return (...args) => {
      try {
        listener(...args)
      } catch (error) {
        this.#tell(error)
      }
    }
  }

  /** Calls a function with each error, until the function that this returns is called. */
  watch(watcher: (error: unknown) => void): () => void {
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  #tell(error: unknown): void {
    for (const watcher of [...this.#watchers]) watcher(error)
  }
}

/** What a log has whose store may be written to by others. */
export interface IntakeLog {
  readonly intake: Intake
}

export function intakeOf(log: object): Intake | undefined {
  return 'intake' in log ? (log as IntakeLog).intake : undefined
}

/** What is done about a message that cannot be read. */
export const readInstead = 'the log is read instead'

export function unreadable(what: string, consequence: string): EventStreamError {
  return new EventStreamError(
    'ERR_STORE_ENTRY',
    `${what} cannot be read, so ${consequence}. Something else has written where the log does, or another ` +
      'version of this package: give the log a prefix or schema of its own.',
  )
}

export function unreadableEntry(channel: string): EventStreamError {
  return unreadable(
    `An entry of the channel ${quoteName(channel)}`,
    'its readers are told of a gap',
  )
}

/** What stands for all behind one place and up to another one, where that cannot be read. */
export function unreadableFrom(prevId: EntryId, id: EntryId): StoredEvent {
  return { id, prevId, data: '', isUnreadable: true }
}

/**
 * Of what was read, the entries of the log, one behind the other. Where one is missing, something unreadable stands for
 * it; what is in nobody's chain is something else's, and is left out.
 *
 * @param after - The place that was read behind, which the log has; undefined for the earliest or the last ones.
 * @param head - Where the log ends.
 */
export function chained(
  after: EntryId | undefined,
  entries: readonly StoredEvent[],
  head: EntryId,
): readonly StoredEvent[] {
  const chain: StoredEvent[] = []
  let place = after ?? entries[0]?.prevId ?? head
  for (let i = 0; i < entries.length && place !== head; i++) {
    let entry = entries[i] as StoredEvent
    if (entry.prevId !== place) {
      const next = entries.findIndex(({ prevId }, n) => n > i && prevId === place)
      if (next !== -1) {
        i = next
        entry = entries[next] as StoredEvent
      } else if (seqOf(entry.prevId) > seqOf(place)) {
        chain.push(unreadableFrom(place, entry.prevId))
      } else if (seqOf(entry.id) > seqOf(place)) {
        // Behind another one of the same number: which of the two was the right one, nobody knows.
        entry = unreadableFrom(place, entry.id)
      } else continue
    }
    chain.push(entry)
    place = entry.id
  }
  if (chain.length === 0 && place !== head) chain.push(unreadableFrom(place, head))
  return chain
}

/** Whether what a log of any make has told its followers are entries, each with a place. */
export function areEntries(told: unknown): told is readonly StoredEvent[] {
  return Array.isArray(told) && told.every(hasPlace)
}

function hasPlace(entry: unknown): boolean {
  const { id, prevId } = Object(entry) as Partial<StoredEvent>
  return typeof id === 'string' && typeof prevId === 'string' && isEntryId(id) && isEntryId(prevId)
}

/** Whether an id is that of the place right behind another one. */
export function isNext(id: unknown, prevId: string): id is string {
  return typeof id === 'string' && isEntryId(id) && seqOf(id) === seqOf(prevId) + 1
}

const ownNames: ReadonlySet<unknown> = new Set([
  controlEvents.open,
  controlEvents.reset,
  controlEvents.error,
])

/**
 * Whether an entry of a log can be sent to readers. The end of a stream is told by its id, so nothing else may have
 * its name, nor the names of what is not in logs at all.
 *
 * @param name - Under which the log has it.
 */
export function isSendable(name: string, { id, event, data, isUnreadable }: StoredEvent): boolean {
  if (isUnreadable || typeof data !== 'string') return false
  const isEnd = isEndId(id)
  if (isEnd !== (event === controlEvents.end) || (isEnd && !canEnd(name))) return false
  return event === undefined || (isName(event) && !ownNames.has(event))
}

/** Whether a stream of events can hold it as a name. */
function isName(event: EncodedEvent['event']): boolean {
  return typeof event === 'string' && event !== '' && !/[\r\n\0]/.test(event)
}
