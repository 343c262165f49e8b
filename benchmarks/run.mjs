// Runs the benchmarks, prints their tables, and writes those of a full run into README.md.
//
//   npm run bench -- [--quick] [--only delivery] [--check]
//
// `--quick` takes seven minutes, not forty-five, leaves out what cannot be quick, and is noisy; `--check`
// fails when a target is missed.

import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { circumstances, progress, targetTable } from './lib/report.mjs'

const names = [
  'delivery',
  'rate',
  'latency',
  'channels',
  'memory',
  'redis',
  'streams',
  'grip',
  'instructions',
]
const slowNames = ['instructions']
const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    only: { type: 'string' },
  },
})
const { quick, check, only } = values
if (only !== undefined && !names.includes(only)) {
  console.error(`There is no benchmark ${only}; there are ${names.join(', ')}.`)
  process.exit(2)
}

const started = performance.now()
const results = []
const all = quick ? names.filter((name) => !slowNames.includes(name)) : names
for (const name of only === undefined ? all : [only]) {
  const { run } = await import(`./${name}.mjs`)
  results.push(await run({ quick }))
}
const targets = results.flatMap((result) => result.targets)
const sections = results.map(({ title, text }) => `### ${title}\n\n${text}`)
if (targets.length > 0) sections.push(`### Targets\n\n${targetTable(targets)}`)
const report = `${circumstances(quick)}\n\n${sections.join('\n\n')}`
console.log(report)
progress(`Took ${Math.round((performance.now() - started) / 1000)} s.`)

if (!quick && only === undefined) {
  const path = new URL('README.md', import.meta.url)
  const marks = /(?<=<!-- results -->\n).*(?=<!-- \/results -->)/s
  writeFileSync(
    path,
    readFileSync(path, 'utf8').replace(marks, () => `\n${report}\n\n`),
  )
}
process.exit(check && targets.some(({ isMet }) => !isMet) ? 1 : 0)
