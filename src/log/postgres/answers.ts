import { EventStreamError } from '../../core/errors.js'
import type { PostgresClient } from './pool.js'

export type Row = Readonly<Record<string, unknown>>

type Parser = (text: string) => unknown

/** By the number of the type: what pg makes of it where the application has set nothing else. */
const parsers: ReadonlyMap<number, Parser> = new Map<number, Parser>([
  [16, (text) => text === 't'],
  [21, Number],
  [23, Number],
  [1009, parseTextArray],
])

/** All else stays text. */
const types = { getTypeParser: (type: number): Parser => parsers.get(type) ?? String }

/** An array of texts, which has one dimension and no nulls. */
function parseTextArray(text: string): string[] {
  const items = text.slice(1, -1).match(/"(?:[^"\\]|\\.)*"|[^",]+/gs) ?? []
  return items.map((item) =>
    item.startsWith('"') ? item.slice(1, -1).replace(/\\(.)/gs, '$1') : item,
  )
}

/** Longer than any deadline of ours. */
const never = 2 ** 31 - 1

/**
 * Runs a statement. Its answer is read as we need it, whatever types the application's pool, or its `pg`, reads; and it
 * is waited for as long as we do.
 *
 * @throws EventStreamError `ERR_OPTION` when answers over this connection cannot be read.
 */
export async function ask(
  client: PostgresClient,
  text: string,
  values?: unknown[],
): Promise<readonly Row[]> {
  const { binary, connectionParameters } = client
  if (binary === true) {
    throw new EventStreamError(
      'ERR_OPTION',
      'The pool of the event log has binary: true, which spoils numbers that pg reads; give a pool without it.',
    )
  }
  const hasTimeout = Boolean(connectionParameters?.query_timeout)
  const { rows } = await client.query({
    text,
    ...(values === undefined ? {} : { values }),
    types,
    ...(hasTimeout ? { query_timeout: never } : {}),
  })
  return rows
}
