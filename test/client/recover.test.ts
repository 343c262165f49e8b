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
