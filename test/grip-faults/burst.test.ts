import { expect, test } from '@jest/globals'
import { memoryEventLog } from '../../src/index.js'
import { describeWithPushpin } from '../support/describe-with-pushpin.js'
import { usePushpin } from '../support/grip.js'
import { unlimited } from './run.js'
import { allowTime, expectKeptPromise, setScene, tell } from './scene.js'

const rates = [['no message_rate', undefined] as const, ['a message_rate of 2500', 2500] as const]

for (const [name, rate] of rates) {
  describeWithPushpin(`a burst, with ${name}`, () => {
    allowTime()
    const grip = usePushpin({ handler: { message_rate: rate } })

    test('gets to every client in order', async () => {
      const log = memoryEventLog(unlimited)
      const { eventStream, run, finish } = setScene(grip, log, { gripPollMs: 2000 })
      await run.connect(10, ['a'])
      // After the first subscription of a channel Pushpin asks once, which would hide what is missing.
      await run.until('Pushpin has asked', () => grip.links.length > 0)

      for (let n = 0; n < 3000; n++) void run.publish(eventStream, 'p', 'a')

      const report = await finish(`burst, ${name}`)
      const warnings = grip.pushpin.output.split('\n').filter((line) => line.includes('[WARN]'))
      tell('  of Pushpin', { warnings: warnings.length, first: warnings[0] })
      expectKeptPromise(report)
      expect(report).toMatchObject({ published: 3000, delivered: 30_000 })
    })
  })
}
