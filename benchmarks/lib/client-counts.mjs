// What a load client counts, and how it answers: as load-client.c does.

import { createInterface } from 'node:readline'

export const totals = { events: 0, bytes: 0 }
let latencies = new Map()
let wanted
let deadline

export const nowUs = () => Number(process.hrtime.bigint() / 1000n)

/** An event has arrived. */
export function countEvent(latencyUs) {
  totals.events += 1
  const hundredths = Math.round(latencyUs / 10)
  latencies.set(hundredths, (latencies.get(hundredths) ?? 0) + 1)
}

/** Whatever has arrived is counted: answers when that is what was waited for. */
export function counted() {
  if (wanted !== undefined && totals.events >= wanted) answer()
}

function quantiles() {
  const sorted = [...latencies].sort(([a], [b]) => a - b)
  const total = sorted.reduce((sum, [, n]) => sum + n, 0)
  const quantile = (part) => {
    let sum = 0
    for (const [hundredths, n] of sorted) {
      sum += n
      if (sum >= part * total) return hundredths * 10
    }
    return 0
  }
  return { p50Us: quantile(0.5), p99Us: quantile(0.99) }
}

export function answer() {
  wanted = undefined
  clearTimeout(deadline)
  const { user, system } = process.cpuUsage()
  const stats = { ...totals, cpuUs: user + system, ...quantiles() }
  process.stdout.write(`${JSON.stringify(stats)}\n`)
}

/** @param stall - Called with the number of the connection that shall not read any more. */
export function takeCommands(stall) {
  const commands = createInterface({ input: process.stdin })
  commands.on('close', () => process.exit())
  commands.on('line', (line) => {
    const [command, number, ms] = line.split(' ')
    if (command === 'until' && totals.events < Number(number)) {
      wanted = Number(number)
      deadline = setTimeout(answer, Number(ms))
      return
    }
    if (command === 'stall') stall(Number(number))
    if (command === 'reset') latencies = new Map()
    answer()
  })
}
