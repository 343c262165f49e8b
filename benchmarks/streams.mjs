// What does it cost that a stream outlives its reader: for its store, for the reader beside its source, for
// those elsewhere, and for whoever comes when it is over?

import { postgresVersion, startPostgres } from './lib/postgres.mjs'
import { redisVersion, startRedis } from './lib/redis.mjs'
import { atLeast, atMost, medians, number, progress, runAlone, table } from './lib/report.mjs'
import {
  countIdleQueries,
  countWrites,
  readElsewhere,
  readOverHttp,
  readOwn,
  resume,
} from './lib/stream-parts.mjs'

const many = 50
const idleStreams = 1000
const pollMs = 10_000
const leaseMs = 15_000

/** Chunks of 4 bytes are as many as are kept of a stream by default. */
const kinds = [
  { label: '4 bytes', bytes: 400_000, chunkBytes: 4 },
  { label: '100 bytes', bytes: 10_000_000, chunkBytes: 100 },
  { label: '4 kB', bytes: 10_000_000, chunkBytes: 4000 },
  { label: '64 kB', bytes: 9_984_000, chunkBytes: 64_000 },
  { label: '4 kB', bytes: 40_000_000, chunkBytes: 4000 },
]

/** Who is compared, in which store. The loop has none. */
function contenders({ redis, postgres }) {
  const inRedis = { REDIS_URL: redis.url }
  const inPostgres = postgres && { POSTGRES_URL: postgres.url }
  const all = {
    redis: { label: '**headwater**, Redis', name: 'headwater-streams', store: inRedis },
    postgres: { label: '**headwater**, Postgres', name: 'headwater-streams', store: inPostgres },
    peer: { label: 'resumable-stream, ioredis', name: 'resumable-stream', store: inRedis },
    bare: { label: '`for await` loop', name: 'naive-streams', store: {} },
  }
  return Object.fromEntries(Object.entries(all).filter(([, { store }]) => store !== undefined))
}

/** Turn by turn, so that whatever else the machine does befalls all. */
async function inTurns(rounds, parts) {
  const records = parts.map(() => [])
  for (let round = 0; round < rounds; round++) {
    for (const [i, part] of parts.entries()) records[i].push(await part())
  }
  return records.map(medians)
}

async function compareWrites(redis, { redis: own, peer }, quick) {
  const seconds = quick ? 3 : 10
  const rows = [
    { ...own, followers: 0 },
    { ...own, followers: 1 },
    { ...peer, followers: 0 },
    { ...peer, followers: 1 },
  ]
  for (const row of rows) Object.assign(row, await countWrites({ ...row, redis, seconds }))
  return rows
}

/** @returns For each contender and way what is measured of 1 stream and of many. */
async function compareLatency(ways, seconds, rounds) {
  const parts = ways.flatMap(({ measure, who }) => {
    return [1, many].map((streams) => () => measure({ ...who, streams, seconds }))
  })
  const results = await inTurns(rounds, parts)
  return ways.map((way, i) => ({ ...way, one: results[2 * i], many: results[2 * i + 1] }))
}

function writesTable(rows) {
  const head = ['one stream at 100 tokens/s', 'followers', 'commands/s', 'per token', '']
  const lines = rows.map(({ label, followers, perSecond, perToken, names }) => {
    return [label, followers, number(perSecond), number(perToken), names]
  })
  return table(head, lines)
}

function latencyTable(what, rows, bare) {
  const ms = ({ p50Us, p99Us }) => [number(p50Us / 1000), number(p99Us / 1000)]
  const added = (us, bareUs) => number((us - bareUs) / 1000)
  const ratio = (own, other) => [added(own.p50Us, other.p50Us)]
  const line = ({ who, one, many: all }) => {
    const more = bare === undefined ? [[], []] : [ratio(one, bare.one), ratio(all, bare.many)]
    return [who.label, ...ms(one), ...more[0], ...ms(all), ...more[1]]
  }
  const more = bare === undefined ? [] : ['added to p50']
  const columns = ['1 stream: p50 ms', 'p99 ms', ...more]
  const head = [what, ...columns, `${many} streams: p50 ms`, 'p99 ms', ...more]
  return table(head, rows.map(line))
}

function idleTable(counts, seconds) {
  const row = (label, count, ms) => [label, number(count), number((count * ms) / seconds / 1000)]
  const rows = [
    row('of the followers, and per `pollIntervalMs`', counts.follower, pollMs),
    row('of their producer, to renew leases, and per `leaseMs`', counts.renewals, leaseMs),
  ]
  const what = `queries in ${seconds} s, ${number(idleStreams)} idle streams`
  return table([what, '', 'in that time'], rows)
}

function resumeTable(storeLabel, results) {
  const mib = (bytes) => number(bytes / 2 ** 20)
  const rows = results.map(({ label, bytes, ...result }) => {
    const { direct, directRss, directHeld, http, httpRss, httpHeld } = result
    const ways = [number(direct), mib(directRss), mib(directHeld)]
    return [label, number(bytes / 1e6), ...ways, number(http), mib(httpRss), mib(httpHeld)]
  })
  const columns = ['MB', '`read`: MB/s', 'RSS + MiB', 'held + MiB']
  const head = [`${storeLabel}: chunks of`, ...columns, 'HTTP: MB/s', 'RSS + MiB', 'held + MiB']
  return table(head, rows)
}

/** Readers beside the source, by code and over HTTP. */
async function measureBeside({ redis, peer, bare }, quick) {
  const all = [redis, peer, bare]
  const [seconds, rounds] = quick ? [2, 1] : [3, 3]
  const ways = [readOwn, readOverHttp].flatMap((measure) => {
    return all.map((who) => ({ measure, who }))
  })
  const rows = await compareLatency(ways, seconds, rounds)
  return { direct: rows.slice(0, all.length), http: rows.slice(all.length) }
}

async function measureElsewhere({ redis, postgres, peer }, quick) {
  const all = [redis, postgres, peer].filter((who) => who !== undefined)
  const ways = all.map((who) => ({ measure: readElsewhere, who }))
  return compareLatency(ways, quick ? 2 : 3, quick ? 1 : 3)
}

async function measureResume({ redis, postgres }, quick) {
  const results = []
  for (const who of [redis, postgres].filter((it) => it !== undefined)) {
    const measured = await resume({ store: who.store, kinds, rounds: quick ? 1 : 3 })
    results.push({ label: who.label, rows: kinds.map((kind, i) => ({ ...kind, ...measured[i] })) })
  }
  return results
}

async function setUp(postgres) {
  const built = new URL(process.env.HEADWATER ?? '../dist/index.js', import.meta.url)
  const { setUpPostgres } = await import(new URL('postgres.js', built).href)
  await setUpPostgres(postgres.url)
}

function targetsOf({ writes, beside, idle, idleSeconds, resumes }) {
  const added = ([own, , bare], load) => (own[load].p50Us - bare[load].p50Us) / 1000
  const [{ rows }] = resumes
  const large = rows.filter(({ chunkBytes }) => chunkBytes >= 4000)
  const all = resumes.flatMap((result) => result.rows.filter(({ bytes }) => bytes >= 40e6))
  const mib = (...names) => Math.max(...all.flatMap((row) => names.map((n) => row[n] / 2 ** 20)))
  const queries = (count, ms) => (count * ms) / idleSeconds / 1000
  const idleTargets = idle && [
    atMost('queries for 1000 idle followers, per poll', queries(idle.follower, pollMs), 1),
    // One more may be within the time that is looked at.
    atMost('queries to renew 1000 leases, per lease', queries(idle.renewals, leaseMs), 3.4),
  ]
  return [
    atMost('commands/s for a stream at 100 tokens/s', writes[0].perSecond, 20.1),
    atMost('ms added beside the source, 1 stream', added(beside.direct, 'one'), 1),
    atMost(`ms added beside the source, ${many} streams`, added(beside.direct, 'many'), 1),
    atMost('ms added over HTTP, 1 stream', added(beside.http, 'one'), 1),
    atMost(`ms added over HTTP, ${many} streams`, added(beside.http, 'many'), 1),
    ...(idleTargets ?? []),
    atLeast(
      'MB/s of a resume from Redis, 4 kB and more',
      Math.min(...large.map((row) => row.direct)),
      50,
    ),
    atMost('MiB held for a resume of 40 MB', mib('directHeld', 'httpHeld'), 30),
    atMost('MiB of RSS for a resume of 40 MB', mib('directRss', 'httpRss'), 60),
  ]
}

export async function run({ quick = false } = {}) {
  const title = 'Streams that outlive their reader'
  if (redisVersion === undefined) {
    return { title, text: 'Not measured: redis-server is not installed.', targets: [] }
  }
  const redis = await startRedis()
  const postgres = postgresVersion === undefined ? undefined : await startPostgres()
  if (postgres !== undefined) await setUp(postgres)
  const who = contenders({ redis, postgres })
  progress('streams: writes')
  const writes = await compareWrites(redis, who, quick)
  progress('streams: readers beside the source')
  const beside = await measureBeside(who, quick)
  progress('streams: followers elsewhere')
  const elsewhere = await measureElsewhere(who, quick)
  progress('streams: resumes')
  const resumes = await measureResume(who, quick)
  progress('streams: idle followers')
  const idleSeconds = quick ? 20 : 40
  const idle =
    postgres &&
    (await countIdleQueries({
      store: who.postgres.store,
      streams: idleStreams,
      seconds: idleSeconds,
    }))
  await redis.stop()
  await postgres?.stop()
  const texts = [
    `Commands to Redis:\n\n${writesTable(writes)}`,
    `From the source to its reader, in its process and over HTTP:\n\n${latencyTable('in code', beside.direct, beside.direct.at(-1))}`,
    latencyTable('over HTTP, Express', beside.http, beside.http.at(-1)),
    `From the source to a reader in another process:\n\n${latencyTable('in code', elsewhere)}`,
    `Streams that have ended, read by a process that has nothing of them:`,
    ...resumes.map(({ label, rows }) => resumeTable(label, rows)),
    ...(idle ? [`Queries of Postgres:\n\n${idleTable(idle, idleSeconds)}`] : []),
  ]
  const targets = targetsOf({ writes, beside, idle, idleSeconds, resumes })
  return { title, text: texts.join('\n\n'), targets }
}

await runAlone(import.meta.url, run)
