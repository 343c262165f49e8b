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
    ['what is not ASCII', 'ü'],
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
