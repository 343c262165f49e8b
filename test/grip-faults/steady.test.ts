import { expect, test } from '@jest/globals'
import { memoryEventLog } from '../../src/index.js'
import { describeWithPushpin } from '../support/describe-with-pushpin.js'
import { usePushpin } from '../support/grip.js'
import { seconds, unlimited } from './run.js'
import { allowTime, expectKeptPromise, setScene } from './scene.js'

describeWithPushpin('clients that Pushpin holds, while nothing fails', () => {
  allowTime()
  const grip = usePushpin({ handler: { message_rate: undefined } })

  test('500 of one channel, and others of several, have everything', async () => {
    const log = memoryEventLog(unlimited)
    const { eventStream, errors, run, finish } = setScene(grip, log)
    await run.connect(500, ['a'])
    await run.connect(10, ['b'], ['a', 'b'], ['b', 'c', 'd'])
    const channels = ['a', 'b', 'c', 'd']

    await run.publishSteadily(seconds * 1000, 40, { p: eventStream }, channels)

    const report = await finish('500 clients')
    expectKeptPromise(report)
    expect(report).toMatchObject({ partial: 0, reconnects: report.sentAway + report.silences })
    expect(errors).toEqual([])
  })
})
