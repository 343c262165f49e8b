import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { streamName } from '../../src/core/log-names.js'
import { isEndId } from '../../src/core/stream-end.js'
import type { LogListener, StoredEvent } from '../../src/log/event-log.js'
import { memoryEventLog } from '../../src/log/memory.js'
import type { StreamLog } from '../../src/log/stream-log.js'
import { readEntries } from '../../src/resumable/reader.js'
import { Faucet } from '../support/faucet.js'
import { openStreams } from '../support/stream-stores.js'

const name = streamName('a')

const turn = () => new Promise((resolve) => setImmediate(resolve))

/** A log that takes as many turns of the event loop for each answer as it is told, and loses some answers and messages. */
function slowLog(inner: StreamLog, turns: () => number, isLost: () => boolean): StreamLog {
  const slowly = async <T>(call: () => Promise<T>): Promise<T> => {
    for (let i = turns(); i > 0; i--) await turn()
    const result = await call()
    for (let i = turns(); i > 0; i--) await turn()
    return result
  }
  return {
    append: (...args) => inner.append(...args),
    closeChannel: (...args) => inner.closeChannel(...args),
    heads: (...args) => slowly(() => inner.heads(...args)),
    read: (...args) => slowly(() => inner.read(...args)),
    follow: (channel, listener) => {
      const unreliable: LogListener = {
        append: (entries) => {
          if (!isLost()) listener.append(entries)
          // What is lost is found by a look at the head, some time later; or by what comes behind it.
          else if (entries.some(({ id }) => isEndId(id))) setTimeout(() => listener.suspect(), 1)
        },
        suspect: () => listener.suspect(),
      }
      return slowly(() => inner.follow(channel, unreliable))
    },
    claim: (...args) => slowly(() => inner.claim(...args)),
    produce: (...args) =>
      slowly(async () => {
        // It arrives twice, as one does whose answer was lost.
        if (isLost()) await inner.produce(...args)
        return inner.produce(...args)
      }),
    renew: (...args) => inner.renew(...args),
    endStream: (...args) => slowly(() => inner.endStream(...args)),
    inspect: (...args) => slowly(() => inner.inspect(...args)),
    close: () => inner.close(),
  }
}

type Step =
  | { readonly give: number }
  | { readonly join: 'beside' | 'elsewhere' }
  | { readonly wait: number }

const steps = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ give: fc.integer({ min: 1, max: 40 }) }) },
    { weight: 3, arbitrary: fc.record({ join: fc.constantFrom('beside', 'elsewhere') }) },
    { weight: 4, arbitrary: fc.record({ wait: fc.integer({ min: 1, max: 6 }) }) },
  ),
  { minLength: 5, maxLength: 30, size: 'max' },
) as fc.Arbitrary<Step[]>

async function collect(entries: AsyncGenerator<StoredEvent, void, void>): Promise<StoredEvent[]> {
  const all: StoredEvent[] = []
  for await (const entry of entries) all.push(entry)
  return all
}

describe('readers of a stream', () => {
  test('get each chunk once and in order, with the same ids, whenever they come and wherever they are', async () => {
    let read = 0
    await fc.assert(
      fc.asyncProperty(
        steps,
        fc.infiniteStream(fc.nat(3)),
        fc.infiniteStream(fc.boolean()),
        fc.constantFrom(1, 100, 100_000),
        async (lifeSteps, delays, losses, flushBytes) => {
          const inner = memoryEventLog()
          const log = slowLog(
            inner,
            () => delays.next().value as number,
            () => losses.next().value as boolean,
          )
          const streams = openStreams(log, { flushMs: 0, flushBytes })
          const source = new Faucet<string>()
          const { origin, ended } = await streams.create('a', source)
          const reading: Promise<StoredEvent[]>[] = []
          let count = 0
          for (const step of lifeSteps) {
            if ('give' in step) {
              for (let i = 0; i < step.give; i++) source.give(`${++count}`)
            } else if ('join' in step) {
              const from = step.join === 'beside' ? streams.log : log
              reading.push(collect(readEntries(from, name, origin)))
            } else {
              for (let i = 0; i < step.wait; i++) await turn()
            }
          }
          source.end()
          await ended
          reading.push(collect(readEntries(log, name, origin)))
          const all = await Promise.all(reading)
          const expected = all.at(-1) as StoredEvent[]
          expect(expected.slice(0, -1).map(({ data }) => JSON.parse(data))).toEqual(
            Array.from({ length: count }, (_, i) => `${i + 1}`),
          )
          expect(isEndId(expected.at(-1)?.id ?? '')).toBe(true)
          for (const entries of all) expect(entries).toEqual(expected)
          read += all.length * count
          await streams.close(0)
          await log.close()
        },
      ),
      { numRuns: 200, interruptAfterTimeLimit: 60_000 },
    )
    expect(read).toBeGreaterThan(5000)
  }, 120_000)
})
