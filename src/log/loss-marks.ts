import { type EntryId, isEntryId, nonceOf, seqOf } from '../core/entry-id.js'
import { controlEvents } from '../core/event.js'
import type { StoredEvent } from './event-log.js'

/** What a mark is in a store. No application can publish an event of this name. */
export const storedMark = { event: controlEvents.reset, data: '{"reason":"unknown"}' } as const

/** @returns What was read, as it is for readers where it is a mark. */
export function markOr(entry: StoredEvent): StoredEvent {
  if (entry.event !== storedMark.event || entry.data !== storedMark.data) return entry
  const { id, prevId } = entry
  return { id, prevId, data: '', isLoss: true }
}

/** Some entries of which it is known that they were lost, and where. */
export interface KnownLoss {
  /** The mark that tells readers of it. */
  readonly mark: EntryId
  /** The last entry that the log has and had. */
  readonly fork: EntryId
  /** `seq` of the first of the lost ones. */
  readonly first: number
  readonly nonces: readonly number[]
}

/**
 * Reads what a store says of losses, a line for each:
 * `<mark> <ms since 1970> <fork> <seq of the first lost entry> <nonce> <nonce> …`
 */
export function parseLosses(text: string): readonly KnownLoss[] {
  const losses: KnownLoss[] = []
  for (const line of text.split('\n')) {
    const [mark = '', , fork = '', first, ...nonces] = line.split(' ')
    const numbers = [first, ...nonces].map(Number)
    if (!isEntryId(mark) || !isEntryId(fork) || !numbers.every(Number.isSafeInteger)) continue
    losses.push({ mark, fork, first: numbers[0] as number, nonces: numbers.slice(1) })
  }
  return losses
}

/** Where a position goes on that was lost: the ones that are known of it. */
export function lossesAt(id: EntryId, losses: readonly KnownLoss[]): readonly KnownLoss[] {
  const [seq, nonce] = [seqOf(id), nonceOf(id)]
  return (
    losses
      .filter(({ first, nonces }) => nonces[seq - first] === nonce)
      // Nothing behind any of them has come from the lost history: the earliest leaves out least.
      .sort((a, b) => seqOf(a.fork) - seqOf(b.fork))
  )
}

/**
 * Entries as they are for a reader that comes back from what was lost, which is told first. Where others were appended
 * before the loss was marked, it is told at the mark again.
 *
 * @param rest - The entries behind the fork.
 */
export function behindLoss(
  from: EntryId,
  { fork, mark }: KnownLoss,
  rest: readonly StoredEvent[],
): readonly StoredEvent[] {
  const [first, ...others] = rest
  if (first?.id === mark) return [{ ...first, prevId: from }, ...others]
  return [{ id: fork, prevId: from, data: '', isLoss: true }, ...rest]
}
