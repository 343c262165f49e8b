import { describe, expect, test } from '@jest/globals'
import { storeIn } from '../../src/client.js'
import { startServer } from '../support/server.js'
import { until } from '../support/until.js'
import { openSource, streamHead } from './open-source.js'

/** As the browser's. */
function webStorage() {
  const items = new Map<string, string>()
  return {
    items,
    getItem: (key: string) => items.get(key) ?? null,
    setItem: (key: string, value: string) => void items.set(key, value),
  }
}

/** Says in its data where the client was, and gives it the next position. */
async function startEcho() {
  return startServer((req, res) => {
    const id = String(req.headers['last-event-id'] ?? '')
    const n = Number(id.replace('id ', '')) + 1
    streamHead(res).write(`data: ${id}\nid: id ${Number.isNaN(n) ? 1 : n}\n\n`)
  })
}

describe('the position of a client', () => {
  test('is kept over close and reopen', async () => {
    const { url } = await startEcho()
    const { source, receives } = openSource(url)
    await receives(1)

    source.close()
    expect([source.readyState, source.lastEventId, source.position]).toEqual([2, 'id 1', 'id 1'])
    source.reopen()

    expect(await receives(2)).toEqual(['', 'id 1'])
  })

  test('can be given to another one', async () => {
    const { url } = await startEcho()

    expect(await openSource(url, { position: 'id 8' }).receives(1)).toEqual(['id 8'])
  })

  test('is kept in storage, for each address', async () => {
    const { url } = await startEcho()
    const storage = webStorage()
    const first = openSource(`${url}/a`, { storage: storeIn(storage) })
    await first.receives(1)
    first.source.close()

    const again = openSource(`${url}/a`, { storage: storeIn(storage) })
    const other = openSource(`${url}/b`, { storage: storeIn(storage) })
    const named = openSource(() => `${url}/c`, { storage: storeIn(storage, 'own key') })

    expect(await again.receives(1)).toEqual(['id 1'])
    expect(await other.receives(1)).toEqual([''])
    expect(await named.receives(1)).toEqual([''])
    expect(Object.fromEntries(storage.items)).toEqual({
      [`headwater ${url}/a`]: 'id 2',
      [`headwater ${url}/b`]: 'id 1',
      'own key': 'id 1',
    })
  })

  test.each([
    ['a line break', '1-1\r\nX-Evil: 1'],
    ['a NUL', 'a\0'],
    ['a control character', 'a\u007f'],
    ['more than 4096 characters', 'x'.repeat(4097)],
    ['no string', 7 as unknown as string],
  ])('that was kept with %s is told once, and ignored', async (_name, kept) => {
    const { url } = await startEcho()
    const { source, errors, receives } = openSource(url, {
      storage: { load: () => kept, save: () => undefined },
    })

    const data = await receives(1)

    expect(typeof kept === 'string' ? data : ['']).toEqual([''])
    expect(source.readyState).toBe(source.OPEN)
    expect(errors.map(({ code }) => code)).toEqual(typeof kept === 'string' ? ['ERR_POSITION'] : [])
  })

  test('that storage cannot keep is told once, and the stream goes on', async () => {
    const { url } = await startServer((_req, res) => {
      streamHead(res).end('data: 1\nid: 1\n\ndata: 2\nid: 2\n\n')
    })
    const full = new Error('QuotaExceededError')
    const storage = {
      load: async () => Promise.reject(full),
      save: () => {
        throw full
      },
    }
    const { errors, receives } = openSource(url, { storage })

    await receives(6)

    expect(errors.filter(({ code }) => code === 'ERR_STORAGE')).toMatchObject([{ cause: full }])
  })

  test('that is not ASCII can be kept too', async () => {
    const { url } = await startServer((req, res) => {
      const id = Buffer.from(String(req.headers['last-event-id'] ?? ''), 'latin1')
      streamHead(res).write(`data: ${id}\nid: 世\n\n`)
    })
    const storage = storeIn(webStorage())
    const first = openSource(url, { storage })
    await first.receives(1)
    first.source.close()

    expect(await openSource(url, { storage }).receives(1)).toEqual(['世'])
  })

  test('does not follow an id that no header can hold', async () => {
    const { url } = await startServer((req, res) => {
      const id = String(req.headers['last-event-id'] ?? '')
      streamHead(res).end(`data: ${id}\nid: good\n\ndata: x\nid: a\u0001b\n\n`)
    })

    expect((await openSource(url).receives(3))[2]).toBe('good')
  })

  test('does not follow an id that is longer than any header', async () => {
    const { url } = await startServer((req, res) => {
      const id = String(req.headers['last-event-id'] ?? '')
      streamHead(res).end(`data: ${id}\nid: good\n\ndata: x\nid: ${'9'.repeat(5000)}\n\n`)
    })

    expect((await openSource(url).receives(3))[2]).toBe('good')
  })
})

describe('for await', () => {
  /** Numbers, each with its id, from behind the client's position up to `last`; then it stays open. */
  async function startNumbers(last: number) {
    let written = 0
    const server = await startServer(async (req, res) => {
      streamHead(res).setMaxListeners(0)
      for (let n = Number(req.headers['last-event-id'] ?? 0) + 1; n <= last; n++) {
        if (res.destroyed) return
        written += 1
        const more = res.write(`data: ${n}\ndata: ${'x'.repeat(10_000)}\nid: ${n}\n\n`)
        if (!more) await new Promise((resolve) => res.once('drain', resolve).once('close', resolve))
      }
      res.write('event: last\ndata:\n\n')
    })
    return { url: server.url, written: () => written }
  }

  const numberOf = (data: string) => Number.parseInt(data, 10)

  test('has all events in order however slow it is, and reads no further than it may', async () => {
    const { url, written } = await startNumbers(3000)
    const { source } = openSource(url, { maxQueuedEvents: 10, silenceMs: 500 })
    const numbers: number[] = []
    for await (const { type, data } of source) {
      if (numbers.length === 0) {
        // Longer than a silence may be, until nothing more goes into the socket.
        let before = -1
        await until(async () => {
          const isFull = before === written()
          before = written()
          await new Promise((resolve) => setTimeout(resolve, 700))
          return isFull
        })
        expect(before).toBeLessThan(1500)
      }
      if (type === 'last') break
      numbers.push(numberOf(data))
    }

    expect(numbers).toEqual(Array.from({ length: 3000 }, (_, i) => i + 1))
    expect(source.readyState).toBe(source.CLOSED)
  })

  test('that is left goes on behind its last event', async () => {
    const { url } = await startNumbers(50)
    const { source } = openSource(url)
    const numbers: number[] = []
    for await (const { data } of source) {
      numbers.push(numberOf(data))
      if (numbers.length === 20) break
    }
    expect(source.position).toBe('20')

    source.reopen()
    for await (const { type, data } of source) {
      if (type === 'last') break
      numbers.push(numberOf(data))
    }

    expect(numbers).toEqual(Array.from({ length: 50 }, (_, i) => i + 1))
  })

  test('keeps the position of what was dealt with, and not of what waits', async () => {
    const { url } = await startNumbers(50)
    const saved: string[] = []
    const { source } = openSource(url, {
      storage: { load: () => '10', save: (_url, position) => void saved.push(position) },
    })
    for await (const { data } of source) {
      expect(source.position).toBe(String(numberOf(data) - 1))
      if (numberOf(data) === 12) break
    }

    expect(saved).toEqual(['11', '12'])
  })

  /** An ended stream, of which a loop has not dealt with the first event yet. */
  async function startEnded() {
    const event = (n: number) => `data: ${n}\nid: ${n}-1\n\n`
    const { url } = await startServer((req, res) => {
      const after = Number.parseInt(String(req.headers['last-event-id'] ?? '0-1'), 10)
      streamHead(res).write(`event: stream-open\ndata: {}\nid: ${after}-1\n\n`)
      for (let n = after + 1; n <= 3; n++) res.write(event(n))
      res.end('event: stream-end\ndata: {}\nid: 4-0\n\n')
    })
    const saved: string[] = []
    const opened = openSource(url, {
      storage: { load: () => null, save: (_url, position) => void saved.push(position) },
    })
    return { ...opened, saved }
  }

  test('keeps the position of what was dealt with after the stream has ended, too', async () => {
    const { source, closes, saved } = await startEnded()
    source.onend = () => source.close()
    const positions: string[] = []
    for await (const _ of source) {
      await closes()
      positions.push(source.position)
    }

    expect(positions).toEqual(['0-1', '1-1', '2-1'])
    expect(saved).toEqual(['0-1', '1-1', '2-1', '4-0'])
  })

  test('that is left after the stream has ended goes on behind its last event', async () => {
    const { source, closes, saved } = await startEnded()
    for await (const _ of source) {
      await closes()
      break
    }
    expect([source.position, saved.at(-1)]).toEqual(['1-1', '1-1'])

    source.reopen()
    const rest: string[] = []
    for await (const { data } of source) rest.push(data)

    expect([rest, source.position]).toEqual([['2', '3'], '4-0'])
  })

  test('that was given up after the stream has ended holds up nothing when it is opened again', async () => {
    let count = 5
    const { url } = await startServer((_req, res) => {
      streamHead(res).write('event: stream-open\ndata: {}\n\n')
      for (let n = 1; n <= count; n++) res.write(`data: ${n}\nid: ${n}-${count}\n\n`)
      if (count === 5) res.end('event: stream-end\ndata: {}\n\n')
    })
    const { source, closes, receives } = openSource(url, { maxQueuedEvents: 10 })
    const loop = source[Symbol.asyncIterator]()
    await loop.next()
    await closes()

    count = 300
    source.reopen()
    await receives(305)

    expect(source.position).toBe('300-300')
    await loop.return()
    expect(source.readyState).toBe(source.OPEN)
  })

  test('ends with the stream, and fails with what closed the source', async () => {
    let answer = 204
    const { url } = await startServer((_req, res) => res.writeHead(answer).end())
    const { source } = openSource(url)
    for await (const _ of source) throw new Error('There is nothing.')

    answer = 400
    source.reopen()
    const reading = source[Symbol.asyncIterator]().next()

    await expect(reading).rejects.toMatchObject({ code: 'ERR_STATUS', status: 400 })
    expect(await source[Symbol.asyncIterator]().next()).toEqual({ done: true, value: undefined })
  })

  test('ends when the source is closed', async () => {
    const { url } = await startNumbers(0)
    const { source, receives } = openSource(url)
    const loop = (async () => {
      for await (const { type } of source) expect(type).toBe('last')
    })()
    await receives(1)

    source.close()

    await loop
  })
})
