import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { type LogListener, memoryEventLog, type StoredEvent } from '../../src/index.js'
import { setUp } from '../support/app.js'
import { hostileText, hostileValues } from '../support/hostile-values.js'
import { until } from '../support/until.js'
import { wrapLog } from '../support/wrap-log.js'

/** What a log of another make may give to its followers instead of entries. */
const garbage = fc.oneof(
  fc.constantFrom(...hostileValues),
  fc.array(fc.constantFrom(...hostileValues), { minLength: 1, maxLength: 3 }),
  fc.array(
    fc.record({
      id: fc.oneof(hostileText, fc.constantFrom(...hostileValues)),
      prevId: fc.oneof(hostileText, fc.constantFrom(...hostileValues)),
      event: fc.constantFrom(...hostileValues),
      data: fc.constantFrom(...hostileValues),
    }),
    { minLength: 1, maxLength: 3 },
  ),
)

test('what a log of another make gives to followers throws nothing, and takes nothing from them', async () => {
  const inner = memoryEventLog()
  const listeners: LogListener[] = []
  const log = wrapLog(inner, {
    follow: (channel, listener) => {
      if (channel === 'a') listeners.push(listener)
      return inner.follow(channel, listener)
    },
  })
  const errors: unknown[] = []
  const { eventStream, app, serve } = setUp({ log, onError: (error) => void errors.push(error) })
  app.get('/:id', eventStream('{id}'))
  const request = await serve()
  const [a, b] = [await request('/a'), await request('/b')]
  await Promise.all([a.opened(), b.opened()])
  let n = 0
  await fc.assert(
    fc.asyncProperty(garbage, async (given) => {
      for (const listener of listeners) {
        expect(() => listener.append(given as StoredEvent[])).not.toThrow()
      }
      n += 1
      for (const channel of ['a', 'b']) await eventStream.publishEvent(channel, { data: n })
    }),
    { numRuns: 300 },
  )
  await until(() => a.data.length >= n && b.data.length >= n)
  const numbers = Array.from({ length: n }, (_, i) => i + 1)
  expect([a.data, b.data]).toEqual([numbers, numbers])
  expect(errors).toMatchObject([{ code: 'ERR_STORE_ENTRY' }])
  expect(eventStream.metrics().errors.unreadable).toBeGreaterThan(100)
})
