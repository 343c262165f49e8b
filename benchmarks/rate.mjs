// How many events a second can 1000 clients get before the 99th percentile of latency is 250 ms?

import { publishAtRate } from './lib/open-loop.mjs'
import { startClient, startServer } from './lib/processes.mjs'
import { atLeast, medians, number, progress, runAlone, table } from './lib/report.mjs'
import { allServers, labels } from './lib/servers.mjs'

const connections = 1000
const maxLatencyMs = 250
const firstRate = 50

/** Doubles the rate until the server fails twice, then halves the interval between. */
async function highestRate(name, seconds, halvings) {
  let processes
  let busy = 0
  let low = 0
  let high = firstRate
  const stop = async () => {
    await processes?.client.stop()
    await processes?.server.stop()
    processes = undefined
  }
  const holds = async (perSecond) => {
    if (processes === undefined) {
      const server = await startServer(name)
      processes = { server, client: await startClient({ port: server.port, connections }) }
      // Code that has just started is slow.
      const warmUp = { perSecond: Math.max(firstRate, low), seconds: 0.5 }
      await publishAtRate({ ...processes, connections, ...warmUp })
    }
    const run = { ...processes, connections, perSecond, seconds }
    const { p99Ms, isWhole, clientBusy } = await publishAtRate(run)
    const isHeld = isWhole && p99Ms < maxLatencyMs
    if (isHeld) {
      low = perSecond
      busy = clientBusy
    } else {
      high = perSecond
      progress(`  ${perSecond}/s: p99 ${number(p99Ms)} ms${isWhole ? '' : ', events missing'}`)
      // What it has not delivered yet would count against the next rate.
      await stop()
    }
    return isHeld
  }

  // A disturbance would end it far too early, so a failure counts when it comes twice.
  while ((await holds(high)) || (await holds(high))) high *= 2
  // Too much at once.
  while (low === 0 && high > 1) await holds(Math.floor(high / 2))
  for (let i = 0; i < halvings && low > 0; i++) {
    await holds(Math.round(Math.sqrt(low * high)))
  }
  await stop()
  return { rate: low, busy }
}

export async function run({ quick = false } = {}) {
  const some = ['headwater', 'bare-net', 'naive-express', 'better-sse']
  const names = quick ? some : allServers
  const records = Object.fromEntries(names.map((name) => [name, []]))
  for (let i = 0; i < (quick ? 1 : 3); i++) {
    for (const name of names) {
      progress(`rate, round ${i + 1}: ${name}`)
      records[name].push(await highestRate(name, quick ? 0.7 : 1.5, quick ? 1 : 3))
    }
  }
  const result = Object.fromEntries(names.map((name) => [name, medians(records[name])]))
  const ratio = (name) => result.headwater.rate / result[name].rate
  const rows = names.map((name) => {
    const { rate, busy } = result[name]
    return [labels[name], number(rate), number(1 / ratio(name)), `${Math.round(busy * 100)} %`]
  })
  return {
    title: `Highest rate to ${connections} clients with p99 below ${maxLatencyMs} ms`,
    text: table(['server', 'events/s', '× headwater', 'client busy'], rows),
    targets: [atLeast('events/s, × better-sse', ratio('better-sse'), 100)],
  }
}

await runAlone(import.meta.url, run)
