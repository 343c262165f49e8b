import { describe, expect, test } from '@jest/globals'
import { createParser } from 'eventsource-parser'
import fc from 'fast-check'
import { blockReader } from '../../src/client/block-reader.js'
import { createEventSource } from '../../src/client-node.js'
import { heapUsed } from '../support/heap-used.js'
import { startServer } from '../support/server.js'
import { until } from '../support/until.js'
import { chunksOf, encode, stream as wire } from '../support/wire-blocks.js'
import { inTurn, openSource, stream, streamHead } from './open-source.js'

const bytes = (text: string) => new TextEncoder().encode(text)

function readInChunks(text: string | Uint8Array, sizes: readonly number[]): unknown[] {
  const read: unknown[] = []
  const feed = blockReader(
    1e6,
    ({ event, data, id }) => read.push({ event, data, id }),
    (ms) => read.push(ms),
  )
  for (const chunk of chunksOf(typeof text === 'string' ? bytes(text) : text, sizes)) feed(chunk)
  return read
}

function readAtOnce(text: string): unknown[] {
  const read: unknown[] = []
  const parser = createParser({
    onEvent: ({ event, data, id }) => read.push({ event, data, id }),
    onRetry: (ms) => read.push(ms),
  })
  parser.feed(text)
  return read
}

describe('the client, by how the bytes come', () => {
  test('reads what a reference reads, however the bytes are split', () => {
    const lineEnd = fc.constantFrom('\n', '\r\n', '\r')
    fc.assert(
      fc.property(wire(20), lineEnd, ({ pieces, chunkSizes }, end) => {
        const text = encode(pieces).toWellFormed().replaceAll('\n', end)

        expect(readInChunks(text, chunkSizes)).toEqual(readAtOnce(`${text}${end}`))
      }),
      { numRuns: 500 },
    )
  })

  test('reads the same, split at every single byte', () => {
    const text =
      '\ufeffdata: ü世👋🏽\r\nid: 1\r\n\r\n: c\revent: a\rdata\r\r\nretry: 7\ndata: x\ndata: y\n\n'
    const whole = readInChunks(text, [1000])
    expect(whole).toHaveLength(4)
    for (let at = 1; at < bytes(text).length; at++) {
      expect(readInChunks(text, [at, 1000])).toEqual(whole)
    }
  })

  test('has an event at once that ends in CR', () => {
    expect(readInChunks('data: 1\r\r', [1000])).toEqual([{ data: '1' }])
  })

  test('ignores an id with NUL, and keeps ids of blocks without data for none', () => {
    expect(readInChunks('id: 1\n\nid: a\0b\ndata: x\n\nid\ndata: y\n\n', [3])).toEqual([
      { data: 'x' },
      { data: 'y', id: '' },
    ])
  })

  test('receives one byte after the other', async () => {
    const { url } = await startServer(async (_req, res) => {
      streamHead(res)
      for (const byte of Buffer.from('data: ü\n\ndata: 世\n\n')) {
        await new Promise((resolve) => res.write(Buffer.from([byte]), resolve))
        await new Promise(setImmediate)
      }
    })

    expect(await openSource(url).receives(2)).toEqual(['ü', '世'])
  })

  test('receives the half of a character when the other one comes', async () => {
    const halves = [
      Buffer.from('data: \u4e16').subarray(0, 8),
      Buffer.from('\u4e16\n\n').subarray(2),
    ]
    const { url } = await startServer((_req, res) => {
      streamHead(res).write(halves[0])
      setImmediate(() => res.write(halves[1]))
    })

    expect(await openSource(url).receives(1)).toEqual(['\u4e16'])
  })

  test('receives a line of a megabyte', async () => {
    const line = 'x'.repeat(1_048_576)
    const { url } = await startServer(stream(`data: ${line}\n\n`))

    const [data] = await openSource(url).receives(1)

    expect(data === line).toBe(true)
  })

  test('leaves a line that never ends, and backs off as it comes again', async () => {
    const endless: Parameters<typeof startServer>[0] = (_req, res) => {
      streamHead(res).write('data: first\n\ndata: ')
      const more = () => {
        while (!res.destroyed && res.write('x'.repeat(16_384)));
      }
      res.on('drain', more)
      more()
    }
    const { url } = await startServer(inTurn(endless, endless, endless, stream('data: last\n\n')))
    const { told, errors, receives } = openSource(url, { maxEventBytes: 100_000 })

    await receives(4)

    expect(errors.map(({ code, isFinal }) => [code, isFinal])).toEqual(
      [1, 2, 3].map(() => ['ERR_EVENT_TOO_LARGE', false]),
    )
    expect(told.filter(({ type }) => type === 'open')).toHaveLength(4)
  })

  test('leaves a block of many lines that never ends', async () => {
    const { url } = await startServer((_req, res) => {
      streamHead(res).write('data: x\n'.repeat(20_000))
    })
    const { errors } = openSource(url, { maxEventBytes: 10_000 })

    await until(() => errors.length > 0)

    expect(errors[0]).toMatchObject({ code: 'ERR_EVENT_TOO_LARGE' })
  })

  test('counts what an event has on the wire: a block of empty lines too', async () => {
    const { url } = await startServer((_req, res) => {
      streamHead(res).write('data:\n'.repeat(20_000))
    })
    const { errors } = openSource(url, { maxEventBytes: 100_000 })

    await until(() => errors.length > 0)

    expect(errors[0]).toMatchObject({ code: 'ERR_EVENT_TOO_LARGE' })
  })

  test('takes what is between events for no part of them', async () => {
    const event = `data: ${'x'.repeat(900)}\n\n`
    const { url } = await startServer(stream(`:${'-'.repeat(900)}\n\n${event}`.repeat(500)))
    const { data, errors, receives } = openSource(url, { maxEventBytes: 1000 })

    await receives(500)

    expect([data.length, errors]).toEqual([500, []])
  })

  test('reads megabytes of lines that end by CR', async () => {
    const { url } = await startServer(stream(`${':\r'.repeat(4_000_000)}data: last\r\r`))

    const [data] = await openSource(url).receives(1)

    expect(data).toBe('last')
  })

  test('keeps nothing of events that have been delivered but their ids', async () => {
    const big = 'x'.repeat(200_000)
    const { url } = await startServer((_req, res) => {
      streamHead(res).write('event: stream-open\ndata: {}\nid: 0-1234567890\n\n')
      for (let n = 1; n <= 100; n++) res.write(`data: ${n} ${big}\nid: ${n}-1234567890\n\n`)
    })
    let received = 0
    const before = await heapUsed()
    const source = createEventSource(url, { onMessage: () => (received += 1) })
    await until(() => received === 100, 20_000)
    const grown = (await heapUsed()) - before
    source.close()
    expect(grown).toBeLessThan(5_000_000)
  }, 30_000)

  test('is not kept busy by a name that is almost one of the protocol', async () => {
    const name = `stream-end ${'0-0*'.repeat(100_000)}\u2028`
    const { url } = await startServer(
      stream(
        `event: stream-open\ndata: {}\nid: 0-1\n\nevent: ${name}\ndata: 1\nid: ${name}\n\ndata: last\n\n`,
      ),
    )

    const data = await openSource(url).receives(2)

    expect(data).toEqual(['1', 'last'])
  })

  test('takes no event for an end whose name has the id of one in it', async () => {
    const { url } = await startServer(
      stream(
        'event: stream-open\ndata: {}\nid: 0-1\n\nevent: stream-end 1-0\ndata: 1\n\ndata: last\n\n',
      ),
    )

    const data = await openSource(url).receives(2)

    expect(data).toEqual(['1', 'last'])
  })

  test('takes an id that no header can hold for none, and keeps nothing of it', async () => {
    const id = Array.from({ length: 3000 }, (_, i) => `c${i}~1-1`).join('*')
    const { url } = await startServer(
      stream(
        `event: stream-open\ndata: {}\nid: 0-1\n\ndata: 1\nid: ${id}\n\ndata: 2\nid: ${id}\n\n`,
      ),
    )
    const { data, source, receives } = openSource(url)

    await receives(2)

    expect([data, source.lastEventId]).toEqual([['1', '2'], '0-1'])
  })
})
