/**
 * Identifies one entry of one channel: `<seq>-<nonce>`. `seq` counts 1, 2, 3 … without holes;
 * `nonce` is a random 32-bit number, so that an entry of a log that was lost and written anew is
 * never taken for the one it replaced. `seq` 0 is the place before a channel's first entry, and `nonce` 0
 * is that of the last entry of a stream that has ended.
 */
export type EntryId = string

const pattern = /^(0|[1-9]\d{0,15})-(0|[1-9]\d{0,9})$/
const maxNonce = 0xffff_ffff

export function formatEntryId(seq: number, nonce: number): EntryId {
  return `${seq}-${nonce}`
}

/** Whether untrusted text is an id that some log could have given. */
export function isEntryId(text: string): boolean {
  const match = pattern.exec(text)
  return match !== null && Number.isSafeInteger(Number(match[1])) && Number(match[2]) <= maxNonce
}

/** The `seq` of a well-formed id. */
export function seqOf(id: EntryId): number {
  return Number(id.slice(0, id.indexOf('-')))
}

/** The `nonce` of a well-formed id. */
export function nonceOf(id: EntryId): number {
  return Number(id.slice(id.indexOf('-') + 1))
}
