import { afterEach, describe, expect, jest, test } from '@jest/globals'
import { startServer } from '../support/server.js'
import { until } from '../support/until.js'
import { openSource, stream } from './open-source.js'

afterEach(() => {
  jest.restoreAllMocks()
})

describe('the timers of the client', () => {
  // Node 24 prints TimeoutNegativeWarning for each process that sets one.
  test('are never set to less than nothing, whenever a stream falls silent', async () => {
    const setTimer = jest.spyOn(globalThis, 'setTimeout')
    const { url } = await startServer(stream('data: 1\n\n'))
    const { errors, receives } = openSource(url, { silenceMs: 30, minRetryMs: 1 })

    await until(() => errors.filter(({ code }) => code === 'ERR_SILENCE').length >= 5)
    await receives(5)

    const delays = setTimer.mock.calls.map(([, ms]) => ms ?? 0)
    expect(delays.filter((ms) => ms < 0 || Number.isNaN(ms))).toEqual([])
  })

  test('end a stream that fell silent while the process stood still', async () => {
    const setTimer = jest.spyOn(globalThis, 'setTimeout')
    const { url } = await startServer(stream('data: 1\n\n'))
    const { errors, receives } = openSource(url, { silenceMs: 50 })
    await receives(1)

    const till = Date.now() + 200
    while (Date.now() < till);

    await until(() => errors.length > 0)
    expect(errors[0]).toMatchObject({ code: 'ERR_SILENCE' })
    expect(setTimer.mock.calls.filter(([, ms]) => (ms ?? 0) < 0)).toEqual([])
  })
})
