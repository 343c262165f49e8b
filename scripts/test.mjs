// Runs all tests: most of them two files at a time, as they wait for something; those of the fault scenarios one
// behind the other, as they need a whole machine. With paths or patterns, one run of Jest for them.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const args = process.argv.slice(2)
const faults = 'test/[a-z]+-faults/'
const output = '--outputFile='

function jest(own) {
  const { status } = spawnSync('jest', own, { stdio: 'inherit' })
  return status ?? 1
}

/** Runs Jest for each group, and puts what they have written into one file. */
function runAll(groups) {
  const folder = mkdtempSync(join(tmpdir(), 'headwater-test-'))
  const target = args.find((arg) => arg.startsWith(output))
  const others = args.filter((arg) => arg !== target)
  const statuses = groups.map((group, i) => {
    const file = target === undefined ? [] : [`${output}${join(folder, `${i}.json`)}`]
    return jest([...group, ...others, ...file])
  })
  if (target !== undefined) {
    const results = groups.map((_, i) =>
      JSON.parse(readFileSync(join(folder, `${i}.json`), 'utf8')),
    )
    writeFileSync(target.slice(output.length), JSON.stringify(sum(results)))
  }
  rmSync(folder, { recursive: true })
  return Math.max(...statuses)
}

function sum(results) {
  const names = Object.keys(results[0]).filter((name) => name.startsWith('num'))
  const count = (name) => results.reduce((total, result) => total + result[name], 0)
  return {
    ...Object.fromEntries(names.map((name) => [name, count(name)])),
    success: results.every(({ success }) => success),
    testResults: results.flatMap(({ testResults }) => testResults),
  }
}

const isChosen = args.some((arg) => !arg.startsWith('-'))
process.exitCode = isChosen
  ? jest(args)
  : runAll([
      [`--testPathIgnorePatterns=${faults}`, '--maxWorkers=2'],
      [`--testPathPatterns=${faults}`, '--runInBand'],
    ])
