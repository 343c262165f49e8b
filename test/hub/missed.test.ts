import { describe, expect, test } from '@jest/globals'
import { createParser } from 'eventsource-parser'
import fc from 'fast-check'
import { parseCursor } from '../../src/core/cursor.js'
import { seqOf } from '../../src/core/entry-id.js'
import { escapeComposed } from '../../src/core/grip.js'
import { readMissed } from '../../src/hub/missed.js'
import { memoryEventLog } from '../../src/index.js'
import { wrapLog } from '../support/wrap-log.js'

/** What the filter `build-id` makes of a body. */
const decomposed = (text: string) => text.replaceAll('%%', '%')

function parse(text: string) {
  const events: { data: string; id: string | undefined; event: string | undefined }[] = []
  createParser({
    onEvent: ({ data, id, event }) => void events.push({ data, id, event }),
  }).feed(text)
  return events
}

const onError = (error: unknown) => {
  throw error
}

describe('readMissed', () => {
  test('gives all events in order, in as many parts as the limit makes of them', async () => {
    const events = fc.array(
      fc.record({ channel: fc.nat(2), data: fc.string({ unit: 'grapheme', maxLength: 300 }) }),
      { maxLength: 40 },
    )
    await fc.assert(
      fc.asyncProperty(
        events,
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 3000 }),
        fc.boolean(),
        async (published, channelCount, maxBytes, isComposed) => {
          const log = memoryEventLog()
          const channels = ['a', 'b %*', 'c~'].slice(0, channelCount)
          let positions = await log.heads(channels)
          const expected = channels.map((): string[] => [])
          for (const { channel, data } of published) {
            if (channels[channel] === undefined) continue
            expected[channel]?.push(data)
            await log.append(channels[channel], [{ data: JSON.stringify({ channel, data }) }])
          }
          const escapeText = isComposed ? escapeComposed : (text: string) => text
          const seen = channels.map((): string[] => [])
          for (let isComplete = false; !isComplete; ) {
            const options = { maxBytes, escape: escapeText, mayExceed: true, onError }
            const missed = await readMissed(log, channels, positions, options)
            const received = parse(isComposed ? decomposed(missed.text) : missed.text)
            if (received.length > 1) {
              expect(Buffer.byteLength(missed.text)).toBeLessThanOrEqual(maxBytes)
            }
            for (const { data } of received) {
              const event = JSON.parse(data)
              seen[event.channel]?.push(event.data)
            }
            // A client that is cut off behind this part comes back to the next one.
            if (received.length > 0) {
              const cursor = parseCursor(received.at(-1)?.id ?? '')
              const at = channels.map((name) =>
                cursor && 'id' in cursor ? cursor.id : cursor?.positions.get(name),
              )
              expect(at).toEqual(missed.positions)
            }
            positions = missed.positions
            isComplete = missed.isComplete
          }
          expect(seen).toEqual(expected)
          expect(positions).toEqual(await log.heads(channels))
          await log.close()
        },
      ),
      { numRuns: 200 },
    )
  })

  test('gives nothing rather than an event that is too large, where that would be refused', async () => {
    const log = memoryEventLog()
    const from = await log.heads(['a'])
    await log.append('a', [{ data: 'x'.repeat(200) }])
    const options = { maxBytes: 100, escape: (text: string) => text, mayExceed: false, onError }
    expect(await readMissed(log, ['a'], from, options)).toEqual({
      text: '',
      positions: from,
      isComplete: false,
    })
  })

  test('tells what is lost, and goes on behind it', async () => {
    const log = memoryEventLog({ maxEvents: 1 })
    const from = await log.heads(['a', 'b'])
    for (const data of ['1', '2', '3']) await log.append('a', [{ data }])
    await log.append('b', [{ data: '4' }])
    const options = { maxBytes: 9999, escape: (text: string) => text, mayExceed: true, onError }
    const { text, positions } = await readMissed(log, ['a', 'b'], from, options)
    expect(parse(text).map(({ event, data }) => [event, data])).toEqual([
      ['stream-reset', '{"channels":["a"],"reason":"trimmed"}'],
      [undefined, '4'],
    ])
    expect(positions).toEqual(await log.heads(['a', 'b']))
  })

  test('tells of an entry that cannot be sent, instead of it', async () => {
    const log = memoryEventLog()
    const from = await log.heads(['a'])
    await log.append('a', [{ event: 'two\nlines', data: '1' }, { data: '2' }])
    const errors: unknown[] = []
    const { text } = await readMissed(log, ['a'], from, {
      maxBytes: 9999,
      escape: (content) => content,
      mayExceed: true,
      onError: (error) => void errors.push(error),
    })
    expect(parse(text).map(({ event, data }) => [event, data])).toEqual([
      ['stream-reset', '{"channels":["a"],"reason":"invalid"}'],
      [undefined, '2'],
    ])
    expect(errors).toMatchObject([{ code: 'ERR_STORE_ENTRY' }])
  })

  test('does not wait for a pause in what is published', async () => {
    const store = memoryEventLog({ maxEvents: 100_000 })
    const [from] = await store.heads(['a'])
    const publish = (count: number) =>
      store.append(
        'a',
        Array.from({ length: count }, () => ({ data: 'x' })),
      )
    await publish(600)
    let reads = 0
    const log = wrapLog(store, {
      read: async (...args) => {
        reads += 1
        const page = await store.read(...args)
        // More than a page holds.
        await publish(5000)
        return page
      },
    })
    const options = { maxBytes: 1e9, escape: (text: string) => text, mayExceed: true, onError }
    const missed = await readMissed(log, ['a'], [from as string], options)
    expect([reads, missed.isComplete]).toEqual([2, true])
    expect(seqOf(missed.positions[0] as string)).toBeGreaterThanOrEqual(600)
  })
})
