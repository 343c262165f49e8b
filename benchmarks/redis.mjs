// What does it cost to have the events in Redis: for a publish, on the way to a client of another
// process, and when all clients come back?

import { repeat } from './lib/closed-loop.mjs'
import { comeBack, openOne } from './lib/comeback.mjs'
import { startClient, startServer, startSubscriber } from './lib/processes.mjs'
import { redisVersion, startRedis } from './lib/redis.mjs'
import { atLeast, atMost, medians, number, progress, runAlone, table } from './lib/report.mjs'

/** Makes 200 bytes of JSON. */
const textBytes = 165
const many = 64
const load = { atOnce: many, textBytes }
const clients = 1000
const missed = 50
const parts = 15
const warmUpMs = 1500

/** A publisher that keeps `many` events under way: what is for one channel goes to Redis together. */
async function publishPart({ redis, server, channels, ms }) {
  const scripts = await redis.scripts()
  const cpuUs = await server.cpuUs()
  const { events, seconds } = await server.ask('keepPublishing', { ...load, channels, ms })
  const { calls, us } = await redis.scripts()
  return {
    perSecond: events / seconds,
    cpu: ((await server.cpuUs()) - cpuUs) / events,
    calls: (calls - scripts.calls) / events,
    redisUs: (us - scripts.us) / events,
  }
}

/**
 * Publisher and Redis wait for one another, and Redis tells time by the clock: what else runs on
 * either CPU can only make it worse, so the best part tells most.
 */
function undisturbed(records) {
  return {
    ...medians(records),
    perSecond: Math.max(...records.map(({ perSecond }) => perSecond)),
    redisUs: Math.min(...records.map(({ redisUs }) => redisUs)),
  }
}

/** Turn by turn, so that whatever else the machine does befalls both. */
async function comparePublishing(redis, start, quick) {
  const [headwater, bare] = [await start('headwater-redis'), await start('redis-xadd')]
  const publishers = {
    one: { server: headwater, channels: 1 },
    each: { server: headwater, channels: many },
    bare: { server: bare, channels: 1 },
  }
  const ms = quick ? 100 : 400
  const records = { one: [], each: [], bare: [] }
  for (let i = 0; i <= parts; i++) {
    for (const [name, publisher] of Object.entries(publishers)) {
      // Code that has just started is slow.
      const part = await publishPart({ redis, ...publisher, ms: i === 0 ? warmUpMs : ms })
      if (i > 0) records[name].push(part)
    }
  }
  const publish = () => headwater.ask('keepPublishing', { ...load, channels: many, ms: 50 })
  const { counts, result } = await redis.countCommands(publish)
  const commands = Object.values(counts).reduce((sum, count) => sum + count, 0)
  for (const server of [headwater, bare]) await server.stop()
  return {
    one: undisturbed(records.one),
    each: undisturbed(records.each),
    bare: { ...undisturbed(records.bare), calls: 1, redisUs: Number.NaN },
    names: Object.keys(counts).join(', '),
    commandsPerEvent: commands / result.events,
  }
}

async function latencyPart({ publisher, client, ms }) {
  await client.reset()
  const publish = () => publisher.tell('tick', { events: 1, textBytes })
  await repeat({ client, ms, deliveries: 1, publish })
  const { p50Us, p99Us } = await client.stats()
  return { p50Us, p99Us }
}

/** One event at a time, from one process to another. */
async function compareLatency(redis, start, quick) {
  const receiver = await start('headwater-redis')
  const pairs = {
    headwater: {
      publisher: await start('headwater-redis'),
      client: await startClient({ port: receiver.port, connections: 1 }),
    },
    bare: { publisher: await start('redis-publish'), client: await startSubscriber(redis.url) },
  }
  const ms = quick ? 100 : 400
  const records = { headwater: [], bare: [] }
  for (let i = 0; i <= parts; i++) {
    for (const [name, pair] of Object.entries(pairs)) {
      const part = await latencyPart({ ...pair, ms: i === 0 ? warmUpMs : ms })
      if (i > 0) records[name].push(part)
    }
  }
  for (const { publisher, client } of Object.values(pairs)) {
    await client.stop()
    await publisher.stop()
  }
  await receiver.stop()
  return { headwater: medians(records.headwater), bare: medians(records.bare) }
}

/** Has clients come back to a server that knows nothing of their channel, and to one that does. */
async function measureComebacks(redis, start) {
  const publisher = await start('headwater-redis')
  const server = await start('headwater-redis')
  const positionAt = async ({ port }) => {
    const { cursor, close } = await openOne(port)
    close()
    return cursor
  }
  const round = async () => {
    const cursor = await positionAt(publisher)
    for (let i = 0; i < missed; i++) {
      await publisher.ask('keepPublishing', { atOnce: 1, ms: 0.001, textBytes })
    }
    const last = new RegExp(`^id: ${await positionAt(publisher)}$`, 'm')
    const before = await redis.scripts()
    const ms = await comeBack({ port: server.port, clients, cursor, last })
    return { ms, reads: (await redis.scripts()).calls - before.calls }
  }
  const fresh = await round()
  const stays = await openOne(server.port)
  const known = await round()
  stays.close()
  await publisher.stop()
  await server.stop()
  return { fresh, known }
}

function publishTable({ one, each, bare, names }) {
  const row = (label, { calls, perSecond, redisUs, cpu }) => {
    const ratio = perSecond / bare.perSecond
    return [label, ...[calls, redisUs, cpu, perSecond, ratio].map(number)]
  }
  const head = ['publisher', 'commands', 'Redis µs', 'CPU µs', 'events/s', '× bare']
  const rows = [
    row('**headwater**, on one channel', one),
    row(`**headwater**, each on another channel`, each),
    row('ioredis, `XADD`', bare),
  ]
  return `Per event of 200 bytes, ${many} under way (commands: ${names}):\n\n${table(head, rows)}`
}

function latencyTable({ headwater, bare }) {
  const row = (label, { p50Us, p99Us }) => {
    return [label, ...[p50Us / 1000, p50Us / bare.p50Us, p99Us / 1000].map(number)]
  }
  const rows = [
    row('**headwater**, to an SSE client', headwater),
    row('ioredis, `PUBLISH` to `SUBSCRIBE`', bare),
  ]
  const head = ['from one process to another', 'p50 ms', '× bare', 'p99 ms']
  return `One event at a time:\n\n${table(head, rows)}`
}

function comebackTable({ fresh, known }) {
  const row = (label, { reads, ms }) => [label, number(reads), number(ms)]
  const rows = [row('has just started', fresh), row('has the channel', known)]
  const what = `${number(clients)} clients come back at once, from the same position, and missed ${missed} events:`
  return `${what}\n\n${table(['their server', 'reads of Redis', 'ms until all have them'], rows)}`
}

export async function run({ quick = false } = {}) {
  const title = 'Events in Redis'
  if (redisVersion === undefined) {
    return { title, text: 'Not measured: redis-server is not installed.', targets: [] }
  }
  const redis = await startRedis()
  const start = (name) => startServer(name, { env: { REDIS_URL: redis.url } })
  progress('redis: publishing')
  const publishing = await comparePublishing(redis, start, quick)
  progress('redis: latency')
  const latency = await compareLatency(redis, start, quick)
  progress('redis: clients that come back')
  const rounds = []
  for (let i = 0; i < (quick ? 1 : 3); i++) rounds.push(await measureComebacks(redis, start))
  await redis.stop()
  const comebacks = {
    fresh: medians(rounds.map(({ fresh }) => fresh)),
    known: medians(rounds.map(({ known }) => known)),
  }
  const { one, each, bare } = publishing
  return {
    title,
    text: [publishTable(publishing), latencyTable(latency), comebackTable(comebacks)].join('\n\n'),
    targets: [
      atMost('Redis commands per event', publishing.commandsPerEvent, 1),
      atMost('Redis time of an append, µs', each.redisUs, 30),
      atLeast('events/s, × bare `XADD`', one.perSecond / bare.perSecond, 0.6),
      atMost('p50 latency, × bare `PUBLISH`', latency.headwater.p50Us / latency.bare.p50Us, 3),
      atMost('reads of Redis when 1000 come back, just started', comebacks.fresh.reads, 3),
      atMost('reads of Redis when 1000 come back, has the channel', comebacks.known.reads, 3),
    ],
  }
}

await runAlone(import.meta.url, run)
