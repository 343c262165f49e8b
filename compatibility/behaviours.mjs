// What has to hold for a stream whatever middleware is before it: one column of the table each.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { createGunzip } from 'node:zlib'

const patienceMs = 3000

/** Waits until something holds. */
async function until(holds, what) {
  const deadline = performance.now() + patienceMs
  while (!holds()) {
    assert.ok(performance.now() < deadline, what)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** A client of a stream: what it has got so far is in `text`. */
async function open(url, { method = 'GET', headers = {}, body } = {}) {
  const all = { Accept: 'text/event-stream', 'Accept-Encoding': 'gzip', ...headers }
  const sent = request(url, { method, agent: false, headers: all })
  sent.end(body)
  const late = setTimeout(() => sent.destroy(new Error('no head')), patienceMs)
  const [res] = await once(sent, 'response').finally(() => clearTimeout(late))
  const client = { status: res.statusCode, headers: res.headers, text: '', isOver: false, res }
  const isPacked = res.headers['content-encoding'] === 'gzip'
  const source = isPacked ? res.pipe(createGunzip({ finishFlush: 2 })) : res
  source.on('data', (bytes) => {
    client.text += bytes
  })
  for (const emitter of [res, source]) emitter.on('error', () => undefined)
  res.on('close', () => {
    client.isOver = true
  })
  return client
}

const hasOpened = ({ text }) => text.includes('event: stream-open')
const dataOf = ({ text }) => [...text.matchAll(/^data: (\d+)$/gm)].map(([, data]) => Number(data))
const idOf = ({ text }) => [...text.matchAll(/^id: (\S+)$/gm)].at(-1)?.[1]

async function opened(url, options) {
  const client = await open(url, options)
  assert.equal(client.status, 200)
  await until(() => hasOpened(client), 'does not open')
  return client
}

async function receives(client, count) {
  await until(
    () => dataOf(client).length >= count,
    `got ${dataOf(client).length} events of ${count}`,
  )
}

export const behaviours = {
  'arrives at once': async ({ url, publish }) => {
    const client = await opened(url)
    await publish(1)
    await receives(client, 1)
    assert.equal(client.isOver, false)
  },
  resumes: async ({ url, publish }) => {
    const first = await opened(url)
    await publish(1)
    await receives(first, 1)
    first.res.destroy()
    await publish(2)
    const second = await open(url, { headers: { 'Last-Event-ID': idOf(first) } })
    await receives(second, 1)
    await publish(3)
    await receives(second, 2)
    assert.deepEqual(dataOf(second), [2, 3])
  },
  'stays open': async ({ url, keepAliveMs }) => {
    const client = await opened(url)
    // More of them than any of the timeouts that are set takes to pass.
    const count = 1500 / keepAliveMs
    await until(() => client.text.split('\n:').length > count, 'no keep-alives')
    assert.equal(client.isOver, false)
  },
  POST: async ({ url, publish }) => {
    const headers = { 'Content-Type': 'application/json' }
    const client = await opened(url, { method: 'POST', headers, body: '{"a":1}' })
    await publish(1)
    await receives(client, 1)
  },
  HEAD: async ({ url }) => {
    const client = await open(url, { method: 'HEAD' })
    await until(() => client.isOver, 'does not end')
    assert.deepEqual([client.status, client.headers['content-type']], [200, 'text/event-stream'])
  },
  'errors keep their status': async ({ url, forbidden }) => {
    const asked = [
      [405, url, { method: 'DELETE' }],
      [406, url, { headers: { Accept: 'text/html' } }],
      [400, url, { headers: { 'Last-Event-ID': 'error' } }],
      [403, forbidden, {}],
    ]
    for (const [status, address, options] of asked) {
      const client = await open(address, options)
      await until(() => client.isOver, `${status} does not end`)
      assert.equal(client.status, status, `${status} becomes ${client.status}`)
      const said = client.headers['cache-control']
      assert.match(String(said), /no-store/, `${status} has Cache-Control: ${said}`)
    }
  },
  'lets go': async ({ url, closed, count }) => {
    const client = await opened(url)
    client.res.destroy()
    await until(() => closed() === 1, 'onClose was not called')
    assert.equal(count(), 0)
  },
  ends: async ({ url, close, server }) => {
    const client = await opened(url)
    const isClosed = once(server, 'close').then(() => true)
    server.close()
    await close()
    await until(() => client.isOver, 'does not end')
    assert.match(client.text, /retry: \d+\n+$/)
    assert.ok(client.res.complete, 'the body is cut off')
    const late = new Promise((resolve) => setTimeout(resolve, patienceMs, false).unref())
    assert.ok(await Promise.race([isClosed, late]), 'the server waits')
  },
}
