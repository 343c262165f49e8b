import { expect, jest } from '@jest/globals'
import type { Request, RequestHandler } from 'express'
import type { EventLog, EventStreamOptions } from '../../src/index.js'
import type { usePushpin } from '../support/grip.js'
import { GripRun, type Report, retryMs, seconds } from './run.js'

type Grip = ReturnType<typeof usePushpin>

/** Starting, the time that all clients have to catch up in the end, and reading what is stored. */
export function allowTime(): void {
  jest.setTimeout((seconds + 120) * 1000)
}

/** An app behind the proxy that serves the channels which the path names. */
export function setScene(
  grip: Grip,
  log: EventLog,
  options: EventStreamOptions = {},
  before?: RequestHandler,
) {
  const { eventStream, app, errors } = grip.setUp({ log, ...options })
  const channelsOf = ({ params }: Request) => String(params.channels).split(',')
  if (before !== undefined) app.get('/:channels', before)
  app.get('/:channels', eventStream(channelsOf, { retryMs }))
  const run = new GripRun(grip.pushpin.url)
  const finish = async (name: string, timeoutMs?: number) => {
    const report = await run.finish(log, timeoutMs)
    return tell(name, { ...report, links: grip.links.length })
  }
  return { eventStream, app, errors, run, finish }
}

/** Prints one line of what came of a scenario. */
export function tell<Result extends object>(name: string, result: Result): Result {
  const parts = Object.entries(result).map(([key, value]) => `${key} ${value}`)
  process.stdout.write(`${name}: ${parts.join(', ')}\n`)
  return result
}

/** What holds in every scenario in which the log keeps all. */
export function expectKeptPromise(report: Report): void {
  expect(report).toMatchObject({ lost: 0, duplicated: 0, reordered: 0, resets: 0 })
  expect(report).toMatchObject({ endedByServer: 0 })
  // Otherwise nothing was tested.
  expect(Math.min(report.published, report.delivered)).toBeGreaterThan(0)
}
