import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { Journal } from '../support/journal.js'
import { Ledger } from '../support/ledger.js'
import { RedisServer } from '../support/redis-server.js'
import { allowTime, runScenario } from './run-scenario.js'

const delay = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** A client of channel `a` that is sent these events, as `n` and id. */
function clientOf(journal: Journal, events: readonly (readonly [n: number, id: string])[]): Ledger {
  const ledger = new Ledger(['a'], journal)
  ledger.take({ event: 'stream-open', data: '{}', id: '0-1' })
  for (const [n, id] of events) {
    ledger.take({ event: undefined, data: JSON.stringify(['a', 'p', n]), id })
  }
  return ledger
}

const headAt = (id: string) => new Map([['a', id]])
const acknowledged = { producer: 'p', channel: 'a', sentAt: 1, ackedAt: 2 }

describe('what the fault scenarios count', () => {
  test('nothing of a stream that is whole', () => {
    const journal = new Journal()
    const ledger = clientOf(journal, [
      [1, '1-5'],
      [2, '2-6'],
    ])
    journal.acknowledge([{ ...acknowledged, n: 2, id: '2-6' }])
    expect(ledger).toMatchObject({ duplicated: 0, reordered: 0 })
    expect(ledger.lost(headAt('2-6'))).toBe(0)
    expect(journal).toMatchObject({ forks: 0, swaps: 0, repeated: 0 })
  })

  test('a hole, an end that did not come, and an acknowledged event that is not there', () => {
    const journal = new Journal()
    const ledger = clientOf(journal, [
      [1, '1-5'],
      [3, '3-6'],
    ])
    expect(ledger.lost(headAt('3-6'))).toBe(1)
    expect(ledger.lost(headAt('5-6'))).toBe(3)
    journal.acknowledge([{ ...acknowledged, n: 4, id: '4-9' }])
    expect(ledger.lost(headAt('3-6'))).toBe(2)
  })

  test('the same place twice, and one that comes late', () => {
    const events = [
      [1, '1-5'],
      [3, '3-7'],
      [2, '2-6'],
      [3, '3-7'],
    ] as const
    const ledger = clientOf(new Journal(), events)
    expect(ledger).toMatchObject({ duplicated: 1, reordered: 1 })
  })

  test('an event that was appended twice, and two under one id', () => {
    const journal = new Journal()
    clientOf(journal, [
      [1, '1-5'],
      [1, '2-6'],
    ])
    expect(journal).toMatchObject({ repeated: 1, swaps: 0 })
    journal.acknowledge([{ ...acknowledged, n: 7, id: '1-5' }])
    expect(journal.swaps).toBe(1)
  })

  test('a client that went on from a history that was lost', () => {
    const journal = new Journal()
    clientOf(journal, [
      [1, '1-5'],
      [2, '2-6'],
    ])
    clientOf(journal, [
      [3, '1-9'],
      [2, '2-6'],
    ])
    expect(journal.forks).toBe(1)
  })

  test('nothing that a reset has told of', () => {
    const journal = new Journal()
    const ledger = clientOf(journal, [[1, '1-5']])
    journal.acknowledge([{ ...acknowledged, n: 2, id: '2-6' }])
    const data = JSON.stringify({ channels: ['a'], reason: 'trimmed' })
    ledger.take({ event: 'stream-reset', data, id: '9-3' })
    expect(ledger.lost(headAt('9-3'))).toBe(0)
  })

  test('a lost event that was acknowledged, and that a client neither had nor was told of', () => {
    const journal = new Journal()
    const ledgers = [clientOf(journal, [[1, '1-5']]), clientOf(journal, [[1, '1-5']])]
    const [untold, told] = ledgers as [Ledger, Ledger]
    journal.acknowledge([{ ...acknowledged, n: 2, id: '2-6' }])
    const data = JSON.stringify({ channels: ['a'], reason: 'unknown' })
    told.take({ event: 'stream-reset', data, id: '2-7' })
    for (const ledger of ledgers) {
      ledger.take({ event: undefined, data: JSON.stringify(['a', 'p', 3]), id: '3-8' })
    }
    const kept = new Map([['a', new Set(['1-5', '2-7', '3-8'])]])
    expect([untold.untold(kept), told.untold(kept)]).toEqual([1, 0])
    expect(told.lost(headAt('3-8'), kept)).toBe(0)
  })

  test('nothing of what was there before the client', () => {
    const journal = new Journal()
    journal.acknowledge([{ ...acknowledged, n: 1, id: '1-5' }])
    const ledger = new Ledger(['a'], journal)
    ledger.take({ event: 'stream-open', data: '{}', id: '1-5' })
    expect(ledger.lost(headAt('1-5'))).toBe(0)
    journal.acknowledge([{ ...acknowledged, n: 2, id: '2-6' }])
    expect(ledger.lost(headAt('2-6'))).toBe(2)
  })

  test('a position that moves without an event', () => {
    const ledger = clientOf(new Journal(), [[1, '1-5']])
    ledger.take({ event: 'stream-open', data: '{}', id: '3-7' })
    expect(ledger.lost(headAt('3-7'))).toBe(2)
  })
})

describeWithRedis('with a log that is not to be trusted', () => {
  allowTime()
  let server: RedisServer

  beforeEach(async () => {
    server = await RedisServer.start()
  })

  afterEach(() => server.stop())

  const faults = [
    ['drop', 'lost'],
    ['repeat', 'duplicated'],
    ['swap', 'reordered'],
  ] as const

  test.each(faults)('a run that makes its log %s events finds them %s', async (flaw, count) => {
    const source = { url: server.url }
    const strike = () => delay(0)
    const report = await runScenario(`flaw: ${flaw}`, { source, flaw, strike }, 2)
    expect(report[count]).toBeGreaterThan(0)
  })

  test('a run whose log says nothing of what was removed finds it lost', async () => {
    const source = { url: server.url }
    const strike = () => server.cli('FLUSHALL')
    const report = await runScenario('flaw: hush', { source, flaw: 'hush', strike }, 2)
    expect(report.lost).toBeGreaterThan(0)
  })
})
