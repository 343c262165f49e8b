import { expect, test } from '@jest/globals'
import { memoryEventLog } from '../../src/index.js'
import { describeWithPushpin } from '../support/describe-with-pushpin.js'
import { usePushpin } from '../support/grip.js'
import { seconds, unlimited } from './run.js'
import { allowTime, expectKeptPromise, setScene, tell } from './scene.js'

describeWithPushpin('while Pushpin is killed', () => {
  allowTime()
  const grip = usePushpin()

  test('its clients come back and have all, and health tells that it is down', async () => {
    const log = memoryEventLog(unlimited)
    const { eventStream, errors, run, finish } = setScene(grip, log)
    const proxyState = () => eventStream.health().proxies[0]?.state
    const areOpen = () => run.clients.every(({ isOpen }) => isOpen)
    await run.connect(15, ['a'], ['b'], ['a', 'b'], ['b', 'c'])
    const startedAt = performance.now()
    const backMs: number[] = []
    let downs = 0
    const stop = new AbortController()
    const publishing = run.publishSteadily(stop.signal, 60, { p: eventStream }, ['a', 'b', 'c'])

    while (backMs.length < 2 || performance.now() - startedAt < seconds * 1000) {
      const delivered = run.journal.acknowledged.length - run.partial
      await run.until(
        'some is published',
        () => run.journal.acknowledged.length - run.partial > delivered + 20,
      )
      run.kill()
      await grip.pushpin.kill()
      // Else it is back before anybody gives up.
      if (backMs.length % 2 === 0) {
        downs += 1
        await run.until('it is down', () => proxyState() === 'down')
      }
      await grip.pushpin.restart()
      const restartedAt = performance.now()
      run.revive()
      await run.until('it is up', () => proxyState() === 'up')
      await run.until('all are back', areOpen)
      backMs.push(Math.round(performance.now() - restartedAt))
    }
    stop.abort()
    await publishing

    const report = await finish('Pushpin killed')
    tell('  kills', { kills: backMs.length, backMs: backMs.join('/'), errors: errors.length })
    expectKeptPromise(report)
    expect(Math.min(report.partial, report.reconnects)).toBeGreaterThan(0)
    expect(errors.map((error) => (error as { code?: unknown }).code)).toEqual(
      Array.from({ length: downs }, () => 'ERR_PROXY_UNAVAILABLE'),
    )
  })
})
