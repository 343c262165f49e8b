import { createInterface } from 'node:readline'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import type { StreamLog } from '../../src/log/stream-log.js'
import type { Streams } from '../../src/resumable/streams.js'
import { describeWithPostgres } from '../support/describe-with-postgres.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { Faucet } from '../support/faucet.js'
import { spawnTypeScript } from '../support/spawn-typescript.js'
import {
  openLog,
  openStreams,
  type StoreName,
  type StreamStore,
  startStore,
} from '../support/stream-stores.js'
import { TcpProxy } from '../support/tcp-proxy.js'
import { until } from '../support/until.js'

const options = { leaseMs: 600 }

/** Produces ticks in a process of its own, and prints what becomes of its stream. */
const producer = `
  import { openLog, openStreams } from './stream-stores.js'
  const [, name, url, id] = process.argv
  const streams = openStreams(openLog(name, url), { leaseMs: 600 })
  async function* ticks({ signal }) {
    signal.addEventListener('abort', () => console.log('aborted ' + signal.reason.message))
    for (let n = 1; ; n++) {
      yield 'tick ' + n + ' '
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
  streams.create(id, ticks).then(() => console.log('started'))
`

describeWithRedis('streams in Redis', () => faults('redis'))
describeWithPostgres('streams in Postgres', () => faults('postgres'))

function faults(name: StoreName): void {
  let store: StreamStore
  const opened: { log: StreamLog; streams: Streams }[] = []
  const proxies: TcpProxy[] = []
  const children: ReturnType<typeof spawnTypeScript>[] = []

  beforeAll(async () => {
    store = await startStore(name)
  })

  afterAll(() => store.stop())

  afterEach(async () => {
    for (const child of children.splice(0)) child.kill('SIGKILL')
    for (const { log, streams } of opened.splice(0)) {
      await streams.close(0)
      await log.close()
    }
    for (const proxy of proxies.splice(0)) await proxy.close()
  })

  /** One more process, as far as the store can tell. */
  const join = (
    url = store.url,
    own = {},
    ownLog = {},
    onError: (error: unknown) => void = () => undefined,
  ) => {
    const log = openLog(name, url, ownLog)
    const streams = openStreams(log, { ...options, ...own }, onError)
    opened.push({ log, streams })
    return streams
  }

  const proxyOf = async (delayMs = 0) => {
    const proxy = await TcpProxy.start(store.url, delayMs)
    proxies.push(proxy)
    return proxy
  }

  const spawnProducer = async (id: string) => {
    const child = spawnTypeScript(producer, name, store.url, id)
    children.push(child)
    const lines: string[] = []
    createInterface(child.stdout).on('line', (line) => lines.push(line))
    await until(() => lines.includes('started'), 20_000)
    return { child, lines }
  }

  test('tells followers that a stream is orphaned whose process was killed', async () => {
    const { child } = await spawnProducer('killed')
    const reader = (await join().read('killed')).getReader()
    await reader.read()
    child.kill('SIGKILL')
    const read = async () => {
      for (;;) await reader.read()
    }
    await expect(read()).rejects.toMatchObject({
      code: 'ERR_STREAM_ENDED',
      message: expect.stringContaining('orphaned'),
    })
    expect(await join().status('killed')).toMatchObject({ state: 'orphaned' })
  })

  test('refuses what a process appends that stood still for longer than its lease', async () => {
    const { child, lines } = await spawnProducer('frozen')
    const streams = join()
    child.kill('SIGSTOP')
    await until(async () => (await streams.status('frozen'))?.state === 'orphaned')
    const before = await streams.status('frozen')
    child.kill('SIGCONT')
    await until(() => lines.some((line) => line.startsWith('aborted')))
    expect(lines.at(-1)).toMatch(/is orphaned/)
    expect(await streams.status('frozen')).toEqual(before)
  })

  test('starts one source of two that are asked for at once over slow networks', async () => {
    for (const delayMs of [0, 10, 50, 200]) {
      const [near, far] = [join(), join((await proxyOf(delayMs)).url)]
      const started: string[] = []
      const ask = (streams: Streams, who: string) =>
        streams.open(`first-${delayMs}`, () => {
          started.push(who)
          return ['x']
        })
      await Promise.all([ask(near, 'near'), ask(far, 'far')])
      expect(started).toHaveLength(1)
    }
  })

  test('goes on when the store was restarted in the middle, without a chunk that is missing or twice', async () => {
    const [producing, reading] = [join(undefined, { leaseMs: 20_000 }), join()]
    const source = new Faucet<string>()
    await producing.create('restarted', source)
    const text = textOf(await reading.read('restarted'))
    const beside = textOf(await producing.read('restarted'))
    for (let n = 0; n < 60; n++) {
      source.give(`${n} `)
      if (n === 20) await store.restart()
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    source.end()
    const expected = Array.from({ length: 60 }, (_, n) => `${n} `).join('')
    expect(await beside).toBe(expected)
    expect(await text).toBe(expected)
  })

  test.each(['goes on', 'has ended'])(
    'gives readers beside a source all of it when the store was emptied, and the stream that another process started there %s',
    async (how) => {
      const id = `emptied, ${how}`
      const [errors, source] = [[] as unknown[], new Faucet<string>()]
      // It writes nothing before the other one has begun.
      const producing = join(undefined, { leaseMs: 20_000, flushMs: 60_000 }, {}, (error) =>
        errors.push(error),
      )
      await producing.create(id, source)
      const text = textOf(await producing.read(id))
      source.give('one ')
      await until(async () => (await producing.status(id))?.lastEventId.startsWith('1-') ?? false)
      source.give('two ')
      await store.empty()
      const other = new Faucet<string>()
      const opened = await join(undefined, { leaseMs: 20_000 }).open(id, other)
      expect(opened.isNew).toBe(true)
      const there = textOf(await join().read(id))
      other.give('elsewhere')
      if (how === 'has ended') {
        other.end()
        await opened.ended
      }
      source.give('three ', 'four')
      source.end()
      expect(await text).toBe('one two three four')
      other.end()
      expect(await there).toBe('elsewhere')
      expect(errors).toMatchObject([{ code: 'ERR_STREAM_EXISTS' }])
      expect(String(errors[0])).toContain(`the stream "${id}"`)
    },
  )

  test('stops each source of a stream that was started again in an emptied store', async () => {
    const patient = { leaseMs: 20_000, flushMs: 10 }
    const [producing, beside] = [join(undefined, patient), join(undefined, patient)]
    const [first, second] = [new Faucet<string>(), new Faucet<string>()]
    const { ended } = await producing.create('twice', first)
    const text = textOf(await producing.read('twice'))
    await store.empty()
    await beside.open('twice', second)
    first.give('x')
    await join().stop('twice', 'enough')
    await expect(text).rejects.toThrow('is aborted ("enough")')
    await ended
  })

  test.each([
    ['cut off', 'cut', 'heal'],
    ['not answering', 'freeze', 'thaw'],
  ] as const)(
    'serves a reader beside the source while the store is %s, and catches up',
    async (how, leave, back) => {
      const proxy = await proxyOf()
      const errors: unknown[] = []
      const producing = join(proxy.url, {
        leaseMs: 20_000,
        onStoreError: (error: unknown) => errors.push(error),
      })
      const source = new Faucet<string>()
      await producing.create(how, source)
      const reader = (await producing.read(how)).getReader()
      source.give('before ')
      expect((await reader.read()).value?.data).toBe('before ')
      proxy[leave]()
      source.give('while ')
      expect((await reader.read()).value?.data).toBe('while ')
      await until(() => errors.length === 1)
      expect(errors).toMatchObject([{ code: 'ERR_LOG_UNAVAILABLE' }])
      proxy[back]()
      source.give('after')
      source.end()
      expect((await reader.read()).value?.data).toBe('after')
      expect((await reader.read()).done).toBe(true)
      expect(await textOf(await join().read(how))).toBe('before while after')
    },
  )

  test('is stopped from another process: its source is told, and its readers', async () => {
    const { lines } = await spawnProducer('stopped')
    const streams = join()
    const reader = (await streams.read('stopped')).getReader()
    await reader.read()
    const status = await streams.stop('stopped', 'enough')
    expect(status).toMatchObject({ state: 'aborted', reason: 'enough' })
    await until(() => lines.some((line) => /aborted .*is aborted/.test(line)))
    const read = async () => {
      for (;;) await reader.read()
    }
    await expect(read()).rejects.toThrow('is aborted ("enough")')
  })

  test('gives 40 MiB that are there already, a page at a time', async () => {
    const [producing, reading] = [join(), join()]
    const chunk = 'x'.repeat(65_536)
    async function* chunks() {
      for (let n = 0; n < 640; n++) yield chunk
    }
    const { ended } = await producing.create('large', chunks)
    await ended
    let length = 0
    for await (const { data } of await reading.read('large')) length += (data as string).length
    expect(length).toBe(640 * 65_536)
  })

  test('gives each of 1000 followers all of it', async () => {
    // They are one process's, which may keep a small machine busy for longer than one waits by default.
    const patient = () => join(store.url, { leaseMs: 20_000 }, { timeoutMs: 20_000 })
    const [producing, reading] = [patient(), patient()]
    const source = new Faucet<string>()
    await producing.create('many', source)
    source.give('a ', 'b ')
    const texts = Array.from({ length: 1000 }, async () => textOf(await reading.read('many')))
    source.give('c')
    source.end()
    expect(new Set(await Promise.all(texts))).toEqual(new Set(['a b c']))
  })
}

async function textOf(stream: AsyncIterable<{ data: unknown }>): Promise<string> {
  let text = ''
  for await (const { data } of stream) text += data
  return text
}
