import { expect, jest } from '@jest/globals'
import { type Report, Run, type Scenario } from './run.js'

/** How long faults are struck, in seconds. */
const seconds = Number(process.env.FAULT_SECONDS ?? 6)

/** Whether there is time for faults that take long. */
export const isLong = seconds >= 20

/** Starting, the time that all clients have to catch up in the end, and reading what is stored. */
export function allowTime(): void {
  jest.setTimeout((seconds + 120) * 1000)
}

/** Runs application and clients with faults, and tells in one line what came of it. */
export async function runScenario(
  name: string,
  scenario: Scenario,
  forSeconds = seconds,
): Promise<Report> {
  const run = new Run(scenario)
  try {
    await run.start()
    await run.strikeFor(forSeconds * 1000)
    const report = await run.finish()
    process.stdout.write(`${name}: ${lineOf(report)}\n`)
    return report
  } finally {
    await run.stop()
  }
}

/**
 * What holds in every scenario.
 *
 * @param outages - How often a strike may take Redis away.
 */
export function expectKeptPromise(report: Report, outages = 1): void {
  const { published, acknowledged, reconnects, strikes, warnings } = report
  expect(report).toMatchObject({ lost: 0, duplicated: 0, reordered: 0, missing: 0, untold: 0 })
  expect(report).toMatchObject({ endedByServer: 0, otherLines: [] })
  // Each process says once that Redis is away, and once that it is back.
  expect(warnings).toBeLessThanOrEqual(2 * outages * strikes)
  expect(report.exitCodes.every((code) => code === 0)).toBe(true)
  // Otherwise nothing was tested.
  expect(Math.min(strikes, acknowledged, reconnects)).toBeGreaterThan(0)
  expect(acknowledged + total(report.rejected)).toBeLessThanOrEqual(published)
}

function lineOf({ otherLines, exitCodes: _, rejected, ...counts }: Report): string {
  const all = { ...counts, rejected: total(rejected), otherLines: otherLines.length }
  const parts = Object.entries(all).map(([name, count]) => `${name} ${count}`)
  return [...parts, ...Object.keys(rejected), ...otherLines.slice(0, 3)].join(', ')
}

function total(rejected: Readonly<Record<string, number>>): number {
  return Object.values(rejected).reduce((sum, count) => sum + count, 0)
}
