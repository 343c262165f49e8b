// How late are events at 1000 clients and 100 events a second?

import { publishAtRate } from './lib/open-loop.mjs'
import { startClient, startServer } from './lib/processes.mjs'
import { medians, number, progress, runAlone, table } from './lib/report.mjs'
import { allServers, labels } from './lib/servers.mjs'

const connections = 1000
const perSecond = 100

async function round(name, seconds) {
  const server = await startServer(name)
  const client = await startClient({ port: server.port, connections })
  const load = { server, client, connections }
  await publishAtRate({ ...load, perSecond: perSecond / 4, seconds: seconds / 2 })
  const { p50Ms, p99Ms } = await publishAtRate({ ...load, perSecond, seconds })
  await client.stop()
  await server.stop()
  return { p50Ms, p99Ms }
}

export async function run({ quick = false } = {}) {
  const records = Object.fromEntries(allServers.map((name) => [name, []]))
  for (let i = 0; i < (quick ? 1 : 3); i++) {
    for (const name of allServers) {
      progress(`latency, round ${i + 1}: ${name}`)
      records[name].push(await round(name, quick ? 1 : 3))
    }
  }
  const result = Object.fromEntries(allServers.map((name) => [name, medians(records[name])]))
  const rows = allServers.map((name) => {
    const { p50Ms, p99Ms } = result[name]
    const ratio = p99Ms / result.headwater.p99Ms
    return [labels[name], number(p50Ms), number(p99Ms), number(ratio)]
  })
  return {
    title: `Latency: ${connections} clients, ${perSecond} events/s`,
    text: table(['server', 'p50 ms', 'p99 ms', 'p99 × headwater'], rows),
    targets: [],
  }
}

await runAlone(import.meta.url, run)
