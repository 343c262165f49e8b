// Clients that a GRIP proxy holds: what does it take to publish to them, how soon do they have what
// they missed while their server was away, and what do they take of its memory?

import { setTimeout as delay } from 'node:timers/promises'
import { startClient, startServer, startSseSubscriber } from './lib/processes.mjs'
import { pushpinVersion, startPushpin } from './lib/pushpin.mjs'
import { redisVersion, startRedis } from './lib/redis.mjs'
import { atLeast, atMost, medians, number, progress, runAlone, table } from './lib/report.mjs'

/** Pushpin refuses some of those that come at once, or drops them a moment later. */
const atOnce = 16
const maxTries = 10

/** One publisher's Pushpin and server, and a client that it holds. */
async function openPublisher(name, env) {
  const pushpin = await startPushpin()
  const server = await startBehind(pushpin, name, env)
  const client = await startSseSubscriber(pushpin.port)
  const stop = async () => {
    for (const one of [client, server, pushpin]) await one.stop()
  }
  return { server, client, stop }
}

function startBehind(pushpin, name, env = {}) {
  const { originPort, gripUrl } = pushpin
  const given = { LISTEN_PORT: `${originPort}`, GRIP_URL: gripUrl, REDIS_URL: undefined }
  return startServer(name, { env: { ...given, ...env } })
}

/** What has not come by then, does not come. */
const graceMs = 1500

/** Publishes events, so many together. */
async function publishPart({ server, client }, load) {
  const { events } = load
  const before = await client.stats()
  const cpuUs = await server.cpuUs()
  const { startUs, seconds, failed } = await server.ask('publishAll', load)
  const cpu = ((await server.cpuUs()) - cpuUs) / events
  const after = await client.until(before.events + events, graceMs)
  const received = after.events - before.events
  return {
    perSecond: events / seconds,
    arrivedPerSecond: received / ((after.lastUs - startUs) / 1e6),
    cpu,
    failed,
    lost: events - received,
    disordered: after.disordered - before.disordered,
  }
}

const publishers = {
  headwater: { label: '**headwater**', name: 'headwater-grip' },
  single: {
    label: '**headwater**, `maxChannelsPerConnection: 1`',
    name: 'headwater-grip',
    env: { MAX_CHANNELS: '1' },
  },
  eventstream: { label: '@fanoutio/eventstream', name: 'eventstream-grip' },
}

/** Publisher and Pushpin wait for one another, so the best part tells most; nothing lost is forgiven. */
function undisturbed(records) {
  const all = (name) => records.map((record) => record[name])
  const sum = (name) => all(name).reduce((total, value) => total + value, 0)
  return {
    ...medians(records),
    perSecond: Math.max(...all('perSecond')),
    arrivedPerSecond: Math.max(...all('arrivedPerSecond')),
    failed: sum('failed'),
    lost: sum('lost'),
    disordered: sum('disordered'),
  }
}

/** Turn by turn, so that whatever else the machine does befalls all. */
async function comparePublishing(quick) {
  const parts = quick ? 1 : 5
  const loads = {
    together: { events: quick ? 1000 : 5000, atOnce: 500 },
    alone: { events: quick ? 200 : 1000, atOnce: 1 },
  }
  const opened = {}
  const records = { together: {}, alone: {} }
  for (const [key, { name, env }] of Object.entries(publishers)) {
    opened[key] = await openPublisher(name, env)
    // Code that has just started is slow.
    for (const load of Object.values(loads)) await publishPart(opened[key], load)
    for (const kind of Object.keys(loads)) records[kind][key] = []
  }
  for (let i = 0; i < parts; i++) {
    for (const [kind, load] of Object.entries(loads)) {
      for (const [key, publisher] of Object.entries(opened)) {
        records[kind][key].push(await publishPart(publisher, load))
      }
    }
  }
  for (const { stop } of Object.values(opened)) await stop()
  const best = (byKey) =>
    Object.fromEntries(Object.entries(byKey).map(([key, some]) => [key, undisturbed(some)]))
  return { parts, loads, together: best(records.together), alone: best(records.alone) }
}

function publishTable(result, kind, what) {
  const { events } = result.loads[kind]
  const peer = result[kind].eventstream
  const rows = Object.entries(publishers).map(([key, { label }]) => {
    const { perSecond, arrivedPerSecond, cpu, lost, disordered } = result[kind][key]
    const ratios = [perSecond, perSecond / peer.perSecond, arrivedPerSecond]
    const arrived = arrivedPerSecond / peer.arrivedPerSecond
    return [label, ...[...ratios, arrived, cpu, lost, disordered].map(number)]
  })
  const head = ['publisher', 'published/s', '× peer', 'at the client/s', '× peer', 'CPU µs']
  const total = `of ${number(result.parts * events)}: lost`
  return `${what}\n\n${table([...head, total, 'out of order'], rows)}`
}

function publishText(result) {
  const { together, alone } = result.loads
  const groups = `${number(together.events)} events to one client, ${together.atOnce} at a time:`
  const single = `${number(alone.events)} events, each awaited before the next:`
  return [publishTable(result, 'together', groups), publishTable(result, 'alone', single)].join(
    '\n\n',
  )
}

const clients = 500
const missed = 50
const comebackTimeoutMs = 15_000

/** Clients that Pushpin holds, and goes on holding for `settleMs` at least. */
async function openHeld(pushpin, connections, settleMs) {
  for (let tries = 1; tries <= maxTries; tries++) {
    const client = await startClient({ port: pushpin.port, connections, atOnce })
    await delay(settleMs)
    const { open } = await client.stats()
    if (open === connections) return client
    progress(`grip: Pushpin holds ${open} of ${connections} clients; once more`)
    await client.stop()
  }
  throw new Error(`Pushpin does not hold ${connections} clients.`)
}

/**
 * Has a server go away, events come that its Pushpin is not told of, and the server come back.
 *
 * @param options.isWarm - Whether something was published a moment before.
 * @returns From when it publishes again until all clients have everything.
 */
async function measureRestart(redis, { isWarm }) {
  const env = { REDIS_URL: redis.url }
  const pushpin = await startPushpin()
  const publisher = await startServer('headwater-redis', { env })
  const first = await startBehind(pushpin, 'headwater-grip', env)
  // It asks once, a second after the first client of a channel has come.
  const client = await openHeld(pushpin, clients, 2000)
  const one = { events: 1, atOnce: 1 }
  let expected = 0
  if (isWarm) {
    await first.ask('publishAll', one)
    expected += clients
    await client.until(expected, comebackTimeoutMs)
  }
  await first.stop()
  await publisher.ask('publishAll', { events: missed, atOnce: 1 })
  const second = await startBehind(pushpin, 'headwater-grip', env)
  const start = performance.now()
  await second.ask('publishAll', one)
  expected += clients * (missed + 1)
  const { events } = await client.until(expected, comebackTimeoutMs)
  const ms = performance.now() - start
  const { links } = await second.ask('counts')
  for (const process of [client, publisher, second, pushpin]) await process.stop()
  return { ms: events === expected ? ms : Number.POSITIVE_INFINITY, links }
}

async function compareRestarts(quick) {
  const redis = await startRedis()
  const records = { quiet: [], warm: [] }
  for (let i = 0; i < (quick ? 1 : 3); i++) {
    records.quiet.push(await measureRestart(redis, { isWarm: false }))
    records.warm.push(await measureRestart(redis, { isWarm: true }))
  }
  await redis.stop()
  return { quiet: medians(records.quiet), warm: medians(records.warm) }
}

function restartText({ quiet, warm }) {
  const row = (label, { links, ms }) => [label, number(links), number(ms)]
  const what = `${clients} clients missed ${missed} events while their server was away; it comes back and publishes one more:`
  const rows = [row('none yet', quiet), row('one just before', warm)]
  const head = [
    'Pushpin was given events',
    'requests for what was missed',
    'ms until all have them',
  ]
  return `${what}\n\n${table(head, rows)}`
}

const heldCounts = [200, 1000]

/** Bytes of the server per client that Pushpin holds, without the connections between the two. */
async function measureMemory(name, warmUps) {
  const pushpin = await startPushpin()
  const server = await startBehind(pushpin, name)
  const memory = async () => {
    await server.ask('closeIdle')
    await delay(200)
    return server.ask('memory')
  }
  // As many requests as will come are answered before it counts.
  for (let i = 0; i < warmUps; i++) await (await openHeld(pushpin, heldCounts.at(-1), 500)).stop()
  const before = await memory()
  const opened = []
  const result = {}
  let held = 0
  for (const count of heldCounts) {
    opened.push(await openHeld(pushpin, count - held, 500))
    held = count
    const { rss, heapUsed } = await memory()
    result[`rss${count}`] = (rss - before.rss) / count
    result[`heap${count}`] = (heapUsed - before.heapUsed) / count
  }
  for (const one of [...opened, server, pushpin]) await one.stop()
  return { rss: before.rss, heap: before.heapUsed, ...result }
}

async function compareMemory(quick) {
  const keys = quick ? ['headwater'] : ['headwater', 'eventstream']
  const records = Object.fromEntries(keys.map((key) => [key, []]))
  for (let i = 0; i < (quick ? 1 : 3); i++) {
    for (const key of keys) {
      records[key].push(await measureMemory(publishers[key].name, quick ? 2 : 3))
    }
  }
  return Object.fromEntries(keys.map((key) => [key, medians(records[key])]))
}

function memoryText(result) {
  const mebibyte = 2 ** 20
  const rows = Object.entries(result).map(([key, figures]) => {
    const { rss, heap, rss200, heap200, rss1000, heap1000 } = figures
    const cells = [rss / mebibyte, heap / mebibyte, rss200, heap200, rss1000, heap1000]
    return [publishers[key].label, ...cells.map(number)]
  })
  const head = ['server', 'RSS with none, MiB', 'heap, MiB']
  for (const count of heldCounts) {
    head.push(`of ${number(count)}: RSS bytes`, 'heap bytes')
  }
  return `Per client that Pushpin holds:\n\n${table(head, rows)}`
}

function targetsOf({ publishing, restarts, memory }) {
  const ratio = (kind, figure) => {
    return publishing[kind].headwater[figure] / publishing[kind].eventstream[figure]
  }
  const { lost, disordered } = publishing.together.headwater
  const targets = [
    atLeast('events/s to Pushpin, × predecessor', ratio('together', 'perSecond'), 10),
    atLeast('events/s through Pushpin, × predecessor', ratio('together', 'arrivedPerSecond'), 10),
    atMost('events lost or out of order behind Pushpin', lost + disordered, 0),
    atMost('heap bytes of a client that Pushpin holds', memory.headwater.heap1000, 1000),
  ]
  if (restarts === undefined) return targets
  for (const [label, { ms, links }] of [
    ['quiet before', restarts.quiet],
    ['busy before', restarts.warm],
  ]) {
    targets.push(atMost(`ms until ${clients} have what they missed, ${label}`, ms, 3000))
    targets.push(atMost(`requests for what ${clients} missed, ${label}`, links, 10))
  }
  return targets
}

export async function run({ quick = false } = {}) {
  const title = 'Clients that Pushpin holds'
  if (pushpinVersion === undefined) {
    return { title, text: 'Not measured: pushpin is not installed.', targets: [] }
  }
  progress('grip: publishing')
  const publishing = await comparePublishing(quick)
  progress('grip: a restart')
  const restarts = redisVersion === undefined ? undefined : await compareRestarts(quick)
  progress('grip: memory')
  const memory = await compareMemory(quick)
  const texts = [publishText(publishing)]
  if (restarts !== undefined) texts.push(restartText(restarts))
  texts.push(memoryText(memory))
  return { title, text: texts.join('\n\n'), targets: targetsOf({ publishing, restarts, memory }) }
}

await runAlone(import.meta.url, run)
