// Instructions of a process, where the kernel lets `perf` count them. They vary far less than time.

import { spawn, spawnSync } from 'node:child_process'

const names = ['instructions:u', 'instructions:k']
const options = ['stat', '-x', ',', '-e', names.join(',')]

/** @returns Counts of user and kernel; undefined when `perf` does not tell both. */
function parse(text) {
  const counts = names.map((name) => {
    const line = text.split('\n').find((candidate) => candidate.split(',')[2] === name)
    return Number.parseFloat(line ?? '')
  })
  if (counts.some(Number.isNaN)) return undefined
  return { user: counts[0], kernel: counts[1] }
}

const probe = spawnSync('perf', [...options, '--', 'true'], { encoding: 'utf8' })

/** Whether instructions can be counted here. */
export const canCount = probe.status === 0 && parse(probe.stderr) !== undefined

/**
 * Counts from when it resolves, all threads.
 *
 * @returns Ends the count and tells it; undefined where it cannot be told.
 */
export async function countInstructions(pid) {
  if (!canCount) return async () => undefined
  const perf = spawn('perf', [...options, '-p', `${pid}`], { stdio: ['ignore', 'ignore', 'pipe'] })
  let text = ''
  perf.stderr.setEncoding('utf8').on('data', (chunk) => {
    text += chunk
  })
  const gone = new Promise((resolve) => perf.once('close', resolve))
  // It says nothing when it has begun.
  await new Promise((resolve) => setTimeout(resolve, 300))
  return async () => {
    perf.kill('SIGINT')
    await gone
    return parse(text)
  }
}
