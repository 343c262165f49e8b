import { createHash } from 'node:crypto'
import { type EntryId, formatEntryId } from '../../core/entry-id.js'
import { EventStreamError } from '../../core/errors.js'

/** The place before the first entry of a stream, which all processes know without asking. */
export function originOf(channel: string): EntryId {
  return formatEntryId(0, createHash('sha256').update(channel).digest().readUInt32BE() || 1)
}

/** @throws EventStreamError `ERR_OPTION`, always. */
export async function refuseChannels(): Promise<never> {
  throw new EventStreamError(
    'ERR_OPTION',
    'This log keeps streams only: claim one and produce it, or publish into another log.',
  )
}
