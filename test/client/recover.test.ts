import { describe, expect, test } from '@jest/globals'
import { recoverFrom } from '../../src/client.js'
import { startServer } from '../support/server.js'
import { until } from '../support/until.js'
import { openSource, stream } from './open-source.js'

/** Answers as a recovery endpoint of a stream with one event that was missed. */
async function startRecovery() {
  const asked: string[] = []
  const { url } = await startServer((req, res) => {
    asked.push(String(req.url))
    if (req.url !== '/recover') return stream('data: 2\n\n')(req, res)
    const events = [{ id: '1-1', data: 1 }]
    const state = { status: 'active', streamId: 'a', isComplete: true, isReset: false }
    res.setHeader('Content-Type', 'application/json')
    res.end(JSON.stringify({ ...state, events, lastEventId: '1-1' }))
  })
  return { url, asked, recover: recoverFrom(`${url}/recover`) }
}

describe('recover of a source', () => {
  test('gives up an endpoint that says there is more, and gives nothing', async () => {
    let asked = 0
    const { url } = await startServer((req, res) => {
      if (req.url !== '/recover') return stream('data: 2\n\n')(req, res)
      asked += 1
      res.setHeader('Content-Type', 'application/json')
      res.end('{"status":"active","streamId":"a","events":[],"lastEventId":"","isComplete":false}')
    })
    const { source } = openSource(url, { recover: recoverFrom(`${url}/recover`) })
    await expect(source.recover()).rejects.toMatchObject({ code: 'ERR_STATUS', status: 200 })
    expect(asked).toBe(1)
  })

  /** Answers of one event each, and always more to come. @returns When it was asked. */
  async function startEndless(eventsOfPage = 1) {
    const asked: number[] = []
    let last = 0
    const { url } = await startServer((req, res) => {
      if (req.url !== '/recover') return stream('data: 2\n\n')(req, res)
      asked.push(performance.now())
      const events = Array.from({ length: eventsOfPage }, () => ({ id: `${++last}-1`, data: last }))
      const page = { status: 'active', streamId: 'a', isComplete: false, isReset: false }
      res.setHeader('Content-Type', 'application/json')
      res.end(JSON.stringify({ ...page, events, lastEventId: `${last}-1` }))
    })
    return { url, asked, recover: recoverFrom(`${url}/recover`) }
  }

  test('asks an endpoint that always has more ten times a second, and not more often', async () => {
    const { url, asked, recover } = await startEndless()
    const { source } = openSource(url, { recover })
    const recovered = source.recover()
    await until(() => asked.length >= 12)
    source.close()
    await recovered
    const [first = 0] = asked
    for (const [i, at] of asked.entries()) expect(at - first).toBeGreaterThanOrEqual(i * 80)
  })

  test('asks for no more while a loop has as much as may wait for it', async () => {
    const { url, asked, recover } = await startEndless(300)
    const { source } = openSource(url, { recover, maxQueuedEvents: 250 })
    const loop = source[Symbol.asyncIterator]()
    const first = loop.next()
    const recovered = source.recover()
    await first
    // Time enough for three more.
    await new Promise((resolve) => setTimeout(resolve, 350))
    expect(asked).toHaveLength(1)
    for (let i = 0; i < 100; i++) await loop.next()
    await until(() => asked.length === 2)
    source.close()
    await recovered
  })

  test('leaves an answer that never ends', async () => {
    let sent = 0
    const { url } = await startServer((req, res) => {
      if (req.url !== '/recover') return stream('data: 2\n\n')(req, res)
      res.setHeader('Content-Type', 'application/json')
      res.write('{"status":"active","streamId":"a","events":[')
      const more = () => {
        do sent += 65_536
        while (!res.destroyed && res.write('{},'.padEnd(65_536)))
      }
      res.on('drain', more)
      more()
    })
    const { source } = openSource(url, { recover: recoverFrom(`${url}/recover`) })
    await expect(source.recover()).rejects.toMatchObject({ code: 'ERR_EVENT_TOO_LARGE' })
    expect(sent).toBeLessThan(30_000_000)
  })

  test('takes nothing when the source is closed before it asks', async () => {
    const { url, asked, recover } = await startRecovery()
    const { source, data, receives } = openSource(url, { recover })
    const recovered = source.recover()

    source.close()
    await recovered

    expect([source.position, source.readyState]).toEqual(['', source.CLOSED])
    source.reopen()
    await source.recover()
    await receives(2)
    expect(data).toEqual(['1', '2'])
    expect(asked.filter((path) => path === '/recover')).toHaveLength(1)
  })

  test('asks for nothing after a signal has closed the source', async () => {
    const { url, asked, recover } = await startRecovery()
    const abort = new AbortController()
    const { source, receives } = openSource(url, { recover, signal: abort.signal })
    await receives(1)
    abort.abort()

    await source.recover()

    const other = openSource(url)
    await other.receives(1)
    expect(asked).toEqual(['/', '/'])
    expect(source.readyState).toBe(source.CLOSED)
  })

  test('leaves what waits for a loop to the next time, when the source is closed meanwhile', async () => {
    const { url, recover } = await startRecovery()
    const { source, data } = openSource(url, { recover })
    const loop = source[Symbol.asyncIterator]()
    const first = loop.next()
    source.addEventListener('message', () => source.close())

    await source.recover()
    await first
    await until(() => source.readyState === source.CLOSED)

    expect([data, source.position]).toEqual([['1'], ''])
  })
})
