/**
 * What one entry costs in memory beside its text: itself, its ids, its place in a queue. Some 200 bytes of heap were
 * measured (`test/log/memory-limits.test.ts`).
 */
const overhead = 256

/** What an idempotency key costs beside its text: its place in a map, and the answer to its repetition. */
const keyOverhead = 192

/** Bytes of heap that an entry takes, rounded up: what limits of memory count. */
export function entryCost(
  { event, data }: { readonly event?: string | undefined; readonly data: string },
  idempotencyKey?: string,
): number {
  const own = overhead + textCost(data) + (event === undefined ? 0 : textCost(event))
  return idempotencyKey === undefined ? own : own + keyOverhead + textCost(idempotencyKey)
}

/** One byte for each character while all are ASCII, and two of all where one is not. */
function textCost(text: string): number {
  const { length } = text
  return Buffer.byteLength(text) === length ? length : 2 * length
}
