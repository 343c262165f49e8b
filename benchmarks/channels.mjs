// Does the number of channels matter, and do clients of other channels make a publish, or a connect, dearer?

import { repeat } from './lib/closed-loop.mjs'
import { startClient, startServer } from './lib/processes.mjs'
import { atMost, median, medians, number, progress, runAlone, table } from './lib/report.mjs'
import { labels } from './lib/servers.mjs'

const names = ['headwater', 'naive-express', 'better-sse', 'eventstream']
const channels = 5000
const fewOthers = 100
const perTurn = 100
const perRequest = 50
/** Of those that nobody follows the log keeps as many as the fewest here, so that its limit is passed. */
const followedChannels = { few: 1000, many: 100_000, quick: 20_000 }

/** A server and one client for each of some channels. */
async function open(name, connections) {
  const server = await startServer(name)
  const client = await startClient({ port: server.port, connections, channels: connections })
  const stop = async () => {
    await client.stop()
    await server.stop()
  }
  return { server, client, connections, stop }
}

/** Events on one channel after the other. */
async function sweep({ server, client, connections }, ms) {
  // A sweep of all channels takes some servers long.
  let size = perRequest
  const loop = (limitMs) => {
    const publish = () => server.tell('sweep', { channels: size, perTurn })
    return repeat({ client, ms: limitMs, deliveries: size, publish })
  }
  while (size < connections && (await loop(0)).seconds < 0.1) {
    size = Math.min(connections, size * 2)
  }
  await loop(ms / 2)
  const before = await server.cpuUs()
  const { times, seconds } = await loop(ms)
  const deliveries = times * size
  return { perSecond: deliveries / seconds, cpu: ((await server.cpuUs()) - before) / deliveries }
}

/** CPU time of an event on a channel with one client. */
async function publishCost({ server, client }, ms) {
  const publish = () => server.tell('turns', { events: perRequest })
  const before = await server.cpuUs()
  const { times } = await repeat({ client, ms, deliveries: perRequest, publish })
  return ((await server.cpuUs()) - before) / (times * perRequest)
}

/** Turn by turn, so that whatever else the machine does befalls both. */
async function comparePublishCosts(few, many, quick) {
  const ms = quick ? 100 : 300
  const costs = { few: [], many: [] }
  await publishCost(few, ms * 3)
  await publishCost(many, ms * 3)
  for (let i = 0; i < 7; i++) {
    costs.few.push(await publishCost(few, ms))
    costs.many.push(await publishCost(many, ms))
  }
  return { few: median(costs.few), many: median(costs.many) }
}

async function round(name, quick) {
  const few = await open(name, fewOthers + 1)
  const many = await open(name, channels)
  const swept = await sweep(many, quick ? 600 : 3000)
  // Both have now done the same kind of work.
  await sweep(few, quick ? 300 : 1000)
  const costs = await comparePublishCosts(few, many, quick)
  await few.stop()
  await many.stop()
  return { ...swept, ...costs }
}

/** An event stream in this process with one reader in each of some channels. */
async function follow(count) {
  const { EventStream, memoryEventLog } = await import(process.env.HEADWATER ?? '../dist/index.js')
  const log = memoryEventLog({ maxChannels: followedChannels.few })
  const eventStream = new EventStream({ log, maxConnections: count + 1 })
  const open = (name) => eventStream.fetch(new Request('http://localhost/'), name)
  for (let i = 0; i < count; i++) await open(`followed-${i}`)
  let connects = 0
  let publishes = 0
  return {
    /** To a channel that was not there before. */
    async connect() {
      connects += 1
      const { body } = await open(`new-${connects}`)
      await body.cancel()
    },
    async publish() {
      publishes += 1
      await eventStream.publishEvent(`unfollowed-${publishes}`, { data: 1 })
    },
    close: () => eventStream.close({ graceMs: 0 }),
  }
}

/** CPU time, in µs. */
async function costOf(act, times) {
  const before = process.cpuUsage()
  for (let i = 0; i < times; i++) await act()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / times
}

/** What one more client, and an event nobody follows, cost where many channels are followed, in memory. */
async function compareFollowed(quick) {
  const counts = [followedChannels.few, quick ? followedChannels.quick : followedChannels.many]
  const streams = []
  for (const count of counts) {
    progress(`channels, ${number(count)} followed in memory`)
    streams.push(await follow(count))
  }
  const acts = ['connect', 'publish']
  const costs = acts.map(() => counts.map(() => []))
  for (let i = 0; i < 15; i++) {
    for (const [a, act] of acts.entries()) {
      for (const [s, stream] of streams.entries()) costs[a][s].push(await costOf(stream[act], 500))
    }
  }
  for (const stream of streams) await stream.close()
  const rows = acts.map((act, a) => {
    const [few, many] = costs[a].map(median)
    return [act, few, many, many / few]
  })
  const head = ['CPU µs of', ...counts.map((count) => `${number(count)} followed`), 'ratio']
  return {
    text: table(
      head,
      rows.map(([act, ...numbers]) => [`one ${act}`, ...numbers.map(number)]),
    ),
    targets: rows.map(([act, , , ratio]) =>
      atMost(`${act} with ${number(counts[1])} channels followed, × with 1,000`, ratio, 2),
    ),
  }
}

export async function run({ quick = false } = {}) {
  const records = Object.fromEntries(names.map((name) => [name, []]))
  for (let i = 0; i < (quick ? 1 : 3); i++) {
    for (const name of names) {
      progress(`channels, round ${i + 1}: ${name}`)
      records[name].push(await round(name, quick))
    }
  }
  const result = Object.fromEntries(names.map((name) => [name, medians(records[name])]))
  const head = ['server', 'deliveries/s', '× headwater', 'CPU µs']
  head.push(`publish µs, ${fewOthers} others`, `${number(channels)} others`, 'ratio')
  const rows = names.map((name) => {
    const { perSecond, cpu, few, many } = result[name]
    const numbers = [perSecond, perSecond / result.headwater.perSecond, cpu, few, many, many / few]
    return [labels[name], ...numbers.map(number)]
  })
  const { few, many } = result.headwater
  const followed = await compareFollowed(quick)
  return {
    title: `${number(channels)} channels of one client each`,
    text: `${table(head, rows)}\n\n${followed.text}`,
    targets: [
      atMost('publish with 5000 other clients, × with 100', many / few, 1.3),
      ...followed.targets,
    ],
  }
}

await runAlone(import.meta.url, run)
