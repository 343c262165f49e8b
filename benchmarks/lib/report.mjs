// Tables, targets, and what they were measured on.

import { readFileSync } from 'node:fs'
import { cpus, release, totalmem, type } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { canCount } from './instructions.mjs'
import { postgresVersion } from './postgres.mjs'
import { clientName, serverCpu } from './processes.mjs'
import { pushpinVersion } from './pushpin.mjs'
import { redisVersion } from './redis.mjs'
import { hasNchan } from './servers.mjs'

export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** The median of each field of some records. */
export function medians(records) {
  const names = Object.keys(records[0])
  return Object.fromEntries(names.map((name) => [name, median(records.map((r) => r[name]))]))
}

/** Three significant digits, thousands apart: 0.512, 12.3, 1,230. */
export function number(value) {
  if (!Number.isFinite(value)) return '–'
  return Number(value.toPrecision(3)).toLocaleString('en-US', { maximumSignificantDigits: 3 })
}

export function table(head, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`
  const rule = head.map((_, i) => (i === 0 ? '---' : '---:'))
  return [line(head), line(rule), ...rows.map(line)].join('\n')
}

/** A promise about a figure: at most, or at least, its limit. */
export function atMost(what, value, limit) {
  return { what, value, limit: `≤ ${number(limit)}`, isMet: value <= limit }
}

export function atLeast(what, value, limit) {
  return { what, value, limit: `≥ ${number(limit)}`, isMet: value >= limit }
}

export function targetTable(targets) {
  const rows = targets.map(({ what, value, limit, isMet }) => {
    return [what, number(value), limit, isMet ? 'met' : '**missed**']
  })
  return table(['target', 'measured', 'limit', ''], rows)
}

/** @param folder - Where it is installed. */
function version(name, folder = '..') {
  const file = new URL(`${folder}/node_modules/${name}/package.json`, import.meta.url)
  return `${name} ${JSON.parse(readFileSync(file, 'utf8')).version}`
}

/** What a table is worth nothing without. */
export function circumstances(isQuick) {
  const [{ model }] = cpus()
  const gigabytes = Math.round(totalmem() / 2 ** 30)
  const names = ['better-sse', '@fanoutio/eventstream', 'resumable-stream', 'express']
  const packages = names.map((name) => version(name))
  const redis = `Redis ${redisVersion}, ${version('ioredis', '../..')}.`
  return [
    `${new Date().toISOString().slice(0, 10)}${isQuick ? ', a quick run' : ''}.`,
    `${model}, ${cpus().length} CPUs, ${gigabytes} GB, ${type()} ${release()}.`,
    `Node ${process.versions.node}, ${packages.join(', ')}.`,
    `Load client: ${clientName}.`,
    serverCpu === undefined ? 'Processes are not pinned.' : 'Server and client on a CPU each.',
    canCount ? 'Instructions counted by perf.' : 'No instruction counters here: CPU time only.',
    hasNchan ? '' : 'nchan is not installed.',
    redisVersion === undefined ? 'redis-server is not installed.' : redis,
    postgresVersion === undefined
      ? 'PostgreSQL is not installed.'
      : `PostgreSQL ${postgresVersion}, ${version('pg', '../..')}.`,
    pushpinVersion === undefined ? 'Pushpin is not installed.' : `Pushpin ${pushpinVersion}.`,
  ]
    .filter((part) => part !== '')
    .join(' ')
}

export function progress(text) {
  process.stderr.write(`${text}\n`)
}

/** Runs a benchmark when its file was started by itself: `node delivery.mjs [--quick] [--check]`. */
export async function runAlone(url, run) {
  if (fileURLToPath(url) !== process.argv[1]) return
  const options = { quick: { type: 'boolean' }, check: { type: 'boolean' } }
  const { values } = parseArgs({ options })
  const { title, text, targets } = await run({ quick: values.quick })
  console.log(`${circumstances(values.quick)}\n\n### ${title}\n\n${text}\n`)
  if (targets.length > 0) console.log(targetTable(targets))
  process.exit(values.check && targets.some(({ isMet }) => !isMet) ? 1 : 0)
}
