import { EventStreamError, quote } from '../../core/errors.js'
import type { RedisDriver } from './driver.js'

/** What of a client's settings decides where data goes, as they are now. */
export interface ClientPlace {
  readonly keyPrefix: unknown
  readonly database: unknown
  readonly isCluster: boolean
}

/**
 * What connections are made like. Where data goes is honoured, and must not change, as a log is in one place. Whom the
 * client connects to, and as whom, is read anew for each connection.
 */
export interface RedisModel {
  readonly keyPrefix: string
  readonly database: number
  connect(): Promise<RedisDriver>
  /** Why this is not the place any more. */
  check(): EventStreamError | undefined
}

/** @throws EventStreamError `ERR_OPTION` when no log can be there. */
export function modelOf(placeNow: () => ClientPlace, make: () => RedisDriver): RedisModel {
  const first = placeNow()
  const { keyPrefix, database } = checkPlace(first)
  return {
    keyPrefix,
    database,
    connect: async () => make(),
    check: () => {
      const now = placeNow()
      if (now.keyPrefix === first.keyPrefix && now.database === first.database) return undefined
      const name = now.keyPrefix === first.keyPrefix ? 'database' : 'keyPrefix'
      return new EventStreamError(
        'ERR_OPTION',
        `The client of the event log had the ${name} ${quote(first[name])} when the log was made, and has ` +
          `${quote(now[name])} now; make another log for another place, and leave the client of this one as it is.`,
      )
    },
  }
}

function checkPlace({ keyPrefix, database, isCluster }: ClientPlace) {
  const prefix = keyPrefix instanceof Uint8Array ? Buffer.from(keyPrefix).toString() : keyPrefix
  const isText = typeof prefix === 'string' && prefix.isWellFormed() && !prefix.includes('\uFFFD')
  if (prefix !== undefined && prefix !== null && !isText) {
    throw wrong(`a keyPrefix that is ${quote(keyPrefix)}; give the client a text`)
  }
  // Then a cluster would take all of a key, and the keys of a channel would be on different nodes.
  if (isCluster && isText && /^[^{]*\{\}/.test(prefix)) {
    throw wrong(`the keyPrefix ${quote(prefix)}, whose {} chooses no slot; give one without braces`)
  }
  const number = database === undefined || database === null ? 0 : Number(database)
  if (!Number.isInteger(number) || number < 0 || database === '') {
    throw wrong(`a database that is ${quote(database)}; give the number of one, from 0`)
  }
  return { keyPrefix: isText ? prefix : '', database: number }
}

function wrong(why: string): EventStreamError {
  return new EventStreamError('ERR_OPTION', `redis is a client with ${why}.`)
}
