import { encodeChannelName } from '../../core/cursor.js'
import { HeadLookups } from '../head-lookups.js'
import type { LossHost, StoredHead } from '../losses.js'
import type { Reads } from './reads.js'

/** @param server - See `LossHost`. */
export function lossHost(reads: Reads, server: () => number): LossHost {
  const lookups = new HeadLookups<StoredHead>({ maxNames: 20_000, isInTurn: true }, (names) =>
    reads.heads(names),
  )
  return {
    server,
    read: (channel, from, limit) => reads.page(channel, from, limit),
    heads: (channels) => lookups.heads(channels.map(encodeChannelName)),
    look: (tails) => reads.look(tails),
    mark: (tail) => reads.mark(tail),
  }
}
