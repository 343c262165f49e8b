// What does one delivery, of one event to one client, cost the server?

import { repeat } from './lib/closed-loop.mjs'
import { canCount } from './lib/instructions.mjs'
import { startClient, startServer } from './lib/processes.mjs'
import { atMost, medians, number, progress, runAlone, table } from './lib/report.mjs'
import { allServers, labels } from './lib/servers.mjs'

const connections = 1000
const patterns = [1, 10]

/** @returns CPU time and, where they can be counted, instructions per delivery. */
async function cost({ server, client, events, ms }) {
  const loop = {
    client,
    deliveries: events * connections,
    publish: () => server.tell('tick', { events }),
  }
  await repeat({ ...loop, ms: ms / 2 })
  const stopCount = await server.countInstructions()
  const { bytes } = await client.stats()
  const before = await server.cpuUs()
  const { times } = await repeat({ ...loop, ms })
  const totals = {
    cpu: (await server.cpuUs()) - before,
    bytes: (await client.stats()).bytes - bytes,
    ...((await stopCount()) ?? { user: Number.NaN, kernel: Number.NaN }),
  }
  const deliveries = times * events * connections
  return Object.fromEntries(Object.entries(totals).map(([name, sum]) => [name, sum / deliveries]))
}

/** A process of its own each time, with both patterns. */
async function round(name, ms) {
  const server = await startServer(name)
  const client = await startClient({ port: server.port, connections })
  const costs = []
  for (const events of patterns) costs.push(await cost({ server, client, events, ms }))
  await client.stop()
  await server.stop()
  return costs
}

function targetsOf(result) {
  const ratio = (pattern, peer, figure) => {
    return figure(result.headwater[pattern]) / figure(result[peer][pattern])
  }
  const cpu = (costs) => costs.cpu
  const user = (costs) => costs.user
  const total = (costs) => costs.user + costs.kernel
  const targets = [
    atMost('CPU, 1 per tick, × better-sse', ratio(0, 'better-sse', cpu), 0.55),
    atMost('CPU, 10 per tick, × better-sse', ratio(1, 'better-sse', cpu), 0.3),
  ]
  if (!canCount) return targets
  return [
    ...targets,
    atMost('user instructions, 1 per tick, × bare `net`', ratio(0, 'bare-net', user), 1.6),
    atMost('user instructions, 1 per tick, × better-sse', ratio(0, 'better-sse', user), 0.1),
    atMost('all instructions, 10 per tick, × bare `net`', ratio(1, 'bare-net', total), 0.25),
  ]
}

export async function run({ quick = false } = {}) {
  const records = Object.fromEntries(allServers.map((name) => [name, patterns.map(() => [])]))
  for (let i = 0; i < (quick ? 1 : 3); i++) {
    for (const name of allServers) {
      progress(`delivery, round ${i + 1}: ${name}`)
      const costs = await round(name, quick ? 400 : 2000)
      for (const [pattern, figures] of costs.entries()) records[name][pattern].push(figures)
    }
  }
  const result = Object.fromEntries(
    allServers.map((name) => [name, records[name].map((rounds) => medians(rounds))]),
  )
  const head = ['server', 'bytes']
  for (const events of patterns) {
    head.push(`${events} per tick: CPU µs`, '× headwater')
    if (canCount) head.push('user instr.', 'kernel')
  }
  const rows = allServers.map((name) => {
    const cells = result[name].flatMap(({ cpu, user, kernel }, pattern) => {
      const times = number(cpu / result.headwater[pattern].cpu)
      return canCount ? [number(cpu), times, number(user), number(kernel)] : [number(cpu), times]
    })
    return [labels[name], number(result[name][0].bytes), ...cells]
  })
  return {
    title: `Cost of a delivery: ${connections} clients of one channel`,
    text: table(head, rows),
    targets: targetsOf(result),
  }
}

await runAlone(import.meta.url, run)
