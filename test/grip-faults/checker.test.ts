import { afterEach, beforeEach, expect, test } from '@jest/globals'
import type { RequestHandler } from 'express'
import { type EventLog, memoryEventLog } from '../../src/index.js'
import { describeWithPushpin } from '../support/describe-with-pushpin.js'
import { usePushpin } from '../support/grip.js'
import { wrapLog } from '../support/wrap-log.js'
import { LossyControl } from './lossy-control.js'
import { unlimited } from './run.js'
import { allowTime, setScene } from './scene.js'

const settleMs = 3000

describeWithPushpin('what the fault scenarios count, where a promise is broken', () => {
  allowTime()
  const grip = usePushpin()
  let control: LossyControl

  beforeEach(async () => {
    control = await LossyControl.start(grip.pushpin.controlUrl, 1)
  })

  afterEach(() => control.close())

  async function publishWithLosses(name: string, log: EventLog, before?: RequestHandler) {
    const options = { grip: control.gripUrl, gripPollMs: 1000 }
    const { eventStream, run, finish } = setScene(grip, log, options, before)
    const names = ['a', 'b'].map((channel) => `${name}-${channel}`)
    await run.connect(5, ...names.map((channel) => [channel]))
    await run.publishSteadily(2500, 60, { p: eventStream }, names)
    return finish(`flaw: ${name}`, settleMs)
  }

  test('without ids and recovery links events are lost, and come twice and out of order', async () => {
    const withoutLinks: RequestHandler = (_req, res, next) => {
      const setHeader = res.setHeader.bind(res)
      res.setHeader = (name, value) => {
        if (name.toLowerCase() === 'grip-link') return res
        return setHeader(
          name,
          name === 'Grip-Channel' ? `${value}`.replace(/; prev-id=[\w-]+/g, '') : value,
        )
      }
      next()
    }
    control.forgetIds()
    const report = await publishWithLosses('no links', memoryEventLog(unlimited), withoutLinks)
    expect(report.links).toBe(0)
    expect(report.lost).toBeGreaterThan(0)
    expect(report.duplicated).toBeGreaterThan(0)
    expect(report.reordered).toBeGreaterThan(0)
  })

  test('a log that forgets entries when it is read loses them', async () => {
    const log = memoryEventLog(unlimited)
    const forgetful = wrapLog(log, {
      read: async (...args) => {
        const page = await log.read(...args)
        return { ...page, entries: page.entries.slice(-1) }
      },
    })
    const report = await publishWithLosses('forgetful log', forgetful)
    expect(report.lost).toBeGreaterThan(0)
  })
})
