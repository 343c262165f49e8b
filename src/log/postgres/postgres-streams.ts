import { encodeChannelName } from '../../core/cursor.js'
import type { EncodedEvent } from '../../core/event.js'
import { quoteName } from '../../core/log-names.js'
import type { StoredEvent } from '../event-log.js'
import { type Intake, unreadableFrom } from '../intake.js'
import { randomNonce } from '../nonce.js'
import {
  type Claim,
  type Claimed,
  type Lease,
  type Produced,
  type Production,
  type StreamInfo,
  sharedToken,
} from '../stream-log.js'
import { escapeTexts, idOf, packEntries, parseEntry, partsOf, unknownPlace } from './format.js'
import { lockMs, type Task } from './link.js'
import type { Row } from './statements.js'

/** What streams need of the log. */
export interface StreamHost {
  run(task: Task): Promise<readonly Row[]>
  /** Tells followers, here and elsewhere. They may have been told already. */
  tell(name: string, entries: readonly StoredEvent[]): void
  readonly intake: Intake
}

/** Streams in Postgres. Whatever is lost on its way is sent again: the server knows what it has done. */
export class PostgresStreams {
  readonly #schema: string
  readonly #host: StreamHost

  constructor(schema: string, host: StreamHost) {
    this.#schema = schema
    this.#host = host
  }

  async claim(channel: string, { token, leaseMs, limits, from }: Claim): Promise<Claimed> {
    const name = encodeChannelName(channel)
    const place = [...partsOf(from?.origin), ...partsOf(from?.head)]
    for (;;) {
      const [row] = await this.#run(
        `The claim of ${quoteName(channel)}`,
        `SELECT c.outcome, i.* FROM {schema}.claim($1,$2,$3,$4,$5,$6,$7,$8,$9,$10) AS c (outcome)
         LEFT JOIN LATERAL {schema}.inspect(CASE WHEN c.outcome IS NOT NULL THEN $1 END, $3) i ON true`,
        (waitMs) => {
          const own = [name, randomNonce(), waitMs, token]
          return [...own, interval(leaseMs), interval(limits.maxAgeMs), ...place]
        },
      )
      const outcome = row?.outcome as Claimed['outcome']
      const info = this.#infoOf(channel, row)
      // It has ended, or passed its age, in the same moment.
      if (info !== undefined) return { outcome: info.end ? 'ended' : outcome, info }
    }
  }

  async produce(channel: string, production: Production): Promise<Produced> {
    const { token, leaseMs, limits, entries } = production
    const name = encodeChannelName(channel)
    const { at, flags, payload } = packEntries(entries)
    const nonces = entries.map(({ id }) => partsOf(id)[1])
    const [row] = await this.#run(
      `The append to the stream ${quoteName(channel)}`,
      'SELECT {schema}.produce($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13) AS produced',
      (waitMs) => {
        const place = [name, waitMs, token, interval(leaseMs), ...partsOf(entries[0]?.prevId)]
        const { maxEvents, maxBytes, maxAgeMs } = limits
        return [...place, nonces, at, flags, payload, maxEvents, maxBytes, interval(maxAgeMs)]
      },
    )
    const produced = row?.produced as Produced
    if (produced === 'appended') this.#host.tell(name, entries)
    return produced
  }

  async renew(leases: readonly Lease[]): Promise<readonly boolean[]> {
    if (leases.length === 0) return []
    const names = leases.map(({ channel }) => encodeChannelName(channel))
    const tokens = leases.map(({ token }) => token)
    const times = leases.map(({ leaseMs }) => interval(leaseMs))
    const rows = await this.#run(
      `The renewal of ${leases.length} streams`,
      'SELECT i FROM {schema}.renew($1, $2, $3)',
      () => [names, tokens, times],
    )
    const holding = new Set(rows.map(({ i }) => Number(i) - 1))
    return leases.map((_lease, i) => holding.has(i))
  }

  async end(channel: string, ending: EncodedEvent): Promise<StreamInfo | undefined> {
    const name = encodeChannelName(channel)
    const { escaped, event, data } = escapeTexts(ending)
    const [row] = await this.#run(
      `The end of ${quoteName(channel)}`,
      `SELECT i.* FROM {schema}.end_stream($1, $2, $3, $4, $5) AS e (name)
       CROSS JOIN LATERAL {schema}.inspect(e.name, $2) i`,
      (waitMs) => [name, waitMs, escaped, event ?? null, data],
    )
    const info = this.#infoOf(channel, row)
    if (info === undefined) return undefined
    if (info.end !== undefined) this.#host.tell(name, [info.end])
    return info
  }

  async inspect(channel: string): Promise<StreamInfo | undefined> {
    const name = encodeChannelName(channel)
    const text = 'SELECT * FROM {schema}.inspect($1, $2)'
    const what = `The look at ${quoteName(channel)}`
    const [row] = await this.#run(what, text, (waitMs) => [name, waitMs])
    return this.#infoOf(channel, row)
  }

  async drop(channel: string): Promise<boolean> {
    const name = encodeChannelName(channel)
    const text = 'SELECT {schema}.drop_stream($1, $2) AS dropped'
    const [row] = await this.#run(`The drop of ${quoteName(channel)}`, text, (waitMs) => [
      name,
      waitMs,
    ])
    return row?.dropped as boolean
  }

  /** What the function `inspect` has answered. An end that cannot be read says nothing but that it is one. */
  #infoOf(channel: string, row: Row | undefined): StreamInfo | undefined {
    // A row of nulls is that of an outer join.
    if (typeof row?.ended !== 'boolean') return undefined
    const [origin, head] = [idOf(row.origin) ?? unknownPlace, idOf(row.id) ?? unknownPlace]
    const end = row.ended ? (parseEntry(row) ?? unreadableFrom(origin, head)) : undefined
    if (origin === unknownPlace || head === unknownPlace || end?.isUnreadable) {
      const what = `The state of the stream ${quoteName(channel)}`
      this.#host.intake.drop(what, 'it counts as orphaned, or lost')
    }
    const isShared = row.token === sharedToken
    return { origin, head, startedAt: Number(row.started), end, isShared }
  }

  /** @param values - Gets how many milliseconds a lock may be waited for. */
  #run(what: string, text: string, values: (waitMs: number) => unknown[]): Promise<readonly Row[]> {
    return this.#host.run({
      what,
      writes: true,
      isRepeatable: true,
      text: text.replaceAll('{schema}', this.#schema),
      values: (_attempt, leftMs) => values(lockMs(leftMs)),
    })
  }
}

function interval(ms: number): string {
  return `${ms} milliseconds`
}
