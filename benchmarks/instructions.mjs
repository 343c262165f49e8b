// How many instructions of its own does one delivery take the server, where `perf` cannot count them?
// valgrind counts those of one process, however busy the machine is, and takes fifty times as long.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { repeat } from './lib/closed-loop.mjs'
import { canCount } from './lib/instructions.mjs'
import { startClient, startServer } from './lib/processes.mjs'
import { atMost, number, progress, runAlone, table } from './lib/report.mjs'
import { labels } from './lib/servers.mjs'

const names = ['headwater', 'bare-net', 'better-sse']
const connections = 1000
const patterns = [1, 10]

const hasValgrind = spawnSync('valgrind', ['--version'], { stdio: 'ignore' }).status === 0

/** Tells callgrind something; it is done when this returns. */
function control(option, pid) {
  const { status, stderr } = spawnSync('callgrind_control', [...option, `${pid}`], {
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`callgrind_control ${option.join(' ')}: ${stderr}`)
}

/** Instructions of a dump, all threads. */
function readDumps(folder) {
  return readdirSync(folder)
    .map((file) => /^(?:summary|totals): (\d+)/m.exec(readFileSync(join(folder, file), 'utf8')))
    .reduce((sum, match) => sum + Number(match?.[1] ?? 0), 0)
}

/** @returns Instructions per delivery for each pattern. */
async function count(name, quick) {
  const folder = mkdtempSync(join(tmpdir(), 'bench-callgrind-'))
  // Code that V8 compiles is written over; its helper threads are not what is counted.
  const options = ['--smc-check=all-non-file', '--instr-atstart=no']
  const output = `--callgrind-out-file=${join(folder, 'out.%p')}`
  const server = await startServer(name, {
    under: ['valgrind', '--tool=callgrind', ...options, output],
    flags: ['--single-threaded-gc'],
  })
  const client = await startClient({ port: server.port, connections })
  const counts = []
  for (const events of patterns) {
    const deliveries = events * connections
    const loop = { client, deliveries, publish: () => server.tell('tick', { events }) }
    await repeat({ ...loop, ms: quick ? 5000 : 20_000 })
    control(['-i', 'on'], server.pid)
    await repeat({ ...loop, ms: 1000 })
    control(['-z'], server.pid)
    const { times } = await repeat({ ...loop, ms: quick ? 3000 : 8000 })
    control(['-d'], server.pid)
    control(['-i', 'off'], server.pid)
    counts.push(readDumps(folder) / times / deliveries)
    for (const file of readdirSync(folder)) rmSync(join(folder, file))
  }
  await client.stop()
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
  return counts
}

export async function run({ quick = false } = {}) {
  const title = 'Instructions of a delivery, without the kernel'
  if (canCount || !hasValgrind) {
    const why = canCount ? '`perf` has counted them above' : 'valgrind is not installed'
    return { title, text: `Not measured: ${why}.`, targets: [] }
  }
  const result = {}
  for (const name of names) {
    progress(`instructions: ${name}`)
    result[name] = await count(name, quick)
  }
  const { headwater } = result
  const rows = names.map((name) => {
    const cells = result[name].flatMap((value, i) => [value, value / headwater[i]])
    return [labels[name], ...cells.map(number)]
  })
  const head = patterns.flatMap((events) => [`${events} per tick`, '× headwater'])
  const ratio = (peer) => headwater[0] / result[peer][0]
  return {
    title,
    text: `${number(connections)} clients of one channel:\n\n${table(['server', ...head], rows)}`,
    targets: [
      atMost('instructions, 1 per tick, × bare `net`', ratio('bare-net'), 1.6),
      atMost('instructions, 1 per tick, × better-sse', ratio('better-sse'), 0.1),
    ],
  }
}

await runAlone(import.meta.url, run)
