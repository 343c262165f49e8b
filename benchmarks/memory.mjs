// What does an idle connection take, and one that does not read?

import { repeat } from './lib/closed-loop.mjs'
import { startClient, startServer } from './lib/processes.mjs'
import { atMost, median, medians, number, progress, runAlone, table } from './lib/report.mjs'
import { labels } from './lib/servers.mjs'

const maxQueueBytes = 1_048_576
const mebibyte = 2 ** 20

const idleNames = ['headwater', 'naive-express', 'better-sse', 'eventstream']

/** Bytes per connection that is open and gets nothing. */
async function idle(name, connections) {
  const server = await startServer(name)
  const { port } = server
  const warm = await startClient({ port, connections: 200 })
  const before = await server.ask('memory')
  const client = await startClient({ port, connections })
  const after = await server.ask('memory')
  await client.stop()
  await warm.stop()
  await server.stop()
  return {
    rss: (after.rss - before.rss) / connections,
    heap: (after.heapUsed - before.heapUsed) / connections,
  }
}

async function compareIdle(quick) {
  const connections = quick ? 2000 : 10_000
  const records = Object.fromEntries(idleNames.map((name) => [name, []]))
  for (let i = 0; i < (quick ? 1 : 3); i++) {
    for (const name of idleNames) {
      progress(`memory, idle, round ${i + 1}: ${name}`)
      records[name].push(await idle(name, connections))
    }
  }
  const result = Object.fromEntries(idleNames.map((name) => [name, medians(records[name])]))
  const naive = result['naive-express']
  const rows = idleNames.map((name) => {
    const { rss, heap } = result[name]
    return [labels[name], ...[rss, rss / naive.rss, heap, heap / naive.heap].map(number)]
  })
  const head = ['server', 'RSS bytes', '× naive', 'heap bytes', '× naive']
  return {
    text: `Per idle connection, of ${number(connections)}:\n\n${table(head, rows)}`,
    targets: [
      atMost(
        'RSS of an idle connection, × `res.write` loop',
        result.headwater.rss / naive.rss,
        1.15,
      ),
    ],
  }
}

const readers = 99
/** A quarter of what may wait for a client, so that those who read are never behind. */
const burst = { events: 16, textBytes: 16_384 }
const parts = 15

/** A server with readers, and perhaps a client that does not read. */
async function openReaders(name, hasStalled) {
  const connections = readers + (hasStalled ? 1 : 0)
  const server = await startServer(name)
  const client = await startClient({ port: server.port, connections })
  const publish = () => server.tell('tick', burst)
  /** @returns Seconds until all readers had it. */
  const send = async (bytes, clients) => {
    const deliveries = burst.events * clients
    let seconds = 0
    for (let sent = 0; sent < bytes; sent += burst.events * burst.textBytes) {
      seconds += (await repeat({ client, ms: 0, deliveries, publish })).seconds
    }
    return seconds
  }
  // The log is full before it counts.
  await send(8 * mebibyte, connections)
  if (hasStalled) await client.stall(0)
  const stop = async () => {
    await client.stop()
    await server.stop()
  }
  return { send: (bytes) => send(bytes, readers), memory: () => server.ask('memory'), stop }
}

/** Part by part, so that whatever else the machine does befalls both. */
async function stalled(name, bytes) {
  const without = await openReaders(name, false)
  const stuck = await openReaders(name, true)
  const before = await stuck.memory()
  const growth = { held: 0, rss: 0 }
  const seconds = { without: [], stuck: [] }
  for (let i = 0; i < parts; i++) {
    seconds.without.push(await without.send(bytes / parts))
    seconds.stuck.push(await stuck.send(bytes / parts))
    const { held, rss } = await stuck.memory()
    growth.held = Math.max(growth.held, held - before.held)
    growth.rss = Math.max(growth.rss, rss - before.rss)
  }
  await without.stop()
  await stuck.stop()
  return { ...growth, slowdown: median(seconds.stuck) / median(seconds.without) }
}

async function compareStalled(quick) {
  const megabytes = quick ? 30 : 200
  const names = ['headwater', 'naive-express']
  const result = {}
  for (const name of names) {
    progress(`memory, stalled: ${name}`)
    result[name] = await stalled(name, megabytes * 1e6)
  }
  const rows = names.map((name) => {
    const { held, rss, slowdown } = result[name]
    return [labels[name], ...[held / mebibyte, rss / mebibyte, slowdown].map(number)]
  })
  const head = ['server', 'held, MiB', 'RSS, MiB', `time of the ${readers} others`]
  const what =
    `Growth while ${megabytes} MB are published and one client of ${readers + 1} does not read; ` +
    'and how long the others took, × without it:'
  const { held, slowdown } = result.headwater
  const limit = maxQueueBytes + mebibyte
  return {
    text: `${what}\n\n${table(head, rows)}`,
    targets: [
      atMost('bytes held for a client that does not read', held, limit),
      atMost('time of the others, × without it', slowdown, 1.2),
    ],
  }
}

export async function run({ quick = false } = {}) {
  const parts = [await compareIdle(quick), await compareStalled(quick)]
  return {
    title: 'Memory',
    text: parts.map(({ text }) => text).join('\n\n'),
    targets: parts.flatMap(({ targets }) => targets),
  }
}

await runAlone(import.meta.url, run)
