import { Publisher } from '@fanoutio/grip'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { EventStream, type StoredEvent } from '../../../src/index.js'
import { channelKeys } from '../../../src/log/redis/format.js'
import { type RedisEventLogOptions, redisEventLog } from '../../../src/redis.js'
import { eventLogSuite, type LogLimits, streamLogSuite } from '../../../src/testing.js'
import { setUp } from '../../support/app.js'
import { describeWithRedis } from '../../support/describe-with-redis.js'
import { RedisServer } from '../../support/redis-server.js'
import { TcpProxy } from '../../support/tcp-proxy.js'
import { until } from '../../support/until.js'

type Log = ReturnType<typeof redisEventLog>

const all = { maxEvents: 1000, maxLength: 1_000_000 }
const limits = { maxEvents: 1000, maxBytes: 1_000_000, maxAgeMs: 60_000 }

/** Gets live entries, as a process does that reads what it is suspected to have missed. */
class Follower {
  readonly seen: StoredEvent[] = []
  readonly #log: Log
  readonly #channel: string

  private constructor(log: Log, channel: string) {
    this.#log = log
    this.#channel = channel
  }

  static async of(log: Log, channel: string): Promise<Follower> {
    const follower = new Follower(log, channel)
    await log.follow(channel, {
      append: (entries) => follower.#take(entries),
      suspect: () => void follower.#look(),
    })
    return follower
  }

  get data(): string[] {
    return this.seen.map(({ data }) => data)
  }

  async #look(): Promise<void> {
    const { entries } = await this.#log.read(this.#channel, 'earliest', all)
    this.#take(entries)
  }

  #take(entries: readonly StoredEvent[]): void {
    for (const entry of entries) {
      if (!this.seen.some(({ id }) => id === entry.id)) this.seen.push(entry)
    }
  }
}

describeWithRedis('redisEventLog, with a replica to wait for,', () => {
  let master: RedisServer
  let replica: RedisServer
  const open: { close(): Promise<unknown> }[] = []

  function logOf(url = master.url, options: Partial<RedisEventLogOptions> = {}): Log {
    const log = redisEventLog({
      redis: url,
      waitReplicas: 1,
      timeoutMs: 20_000,
      pollIntervalMs: 200,
      onHealth: () => undefined,
      ...options,
    })
    open.push(log)
    return log
  }

  const dataOf = async (log: Log, channel: string) =>
    (await log.read(channel, 'earliest', all)).entries.map(({ data }) => data)

  /** Waits until the master has it, which is not told to anybody. */
  const arrived = (channel: string, count: number) =>
    until(
      async () => (await master.cli('XLEN', channelKeys('headwater', channel).keys[0])) === count,
    )

  beforeAll(async () => {
    master = await RedisServer.start()
    replica = await RedisServer.start({ replicaOf: master })
  })

  beforeEach(async () => {
    await master.cli('FLUSHALL')
  })

  afterEach(async () => {
    replica.thaw()
    for (const { close } of open.splice(0).map((it) => ({ close: () => it.close() }))) await close()
  })

  afterAll(async () => {
    await replica.stop()
    await master.stop()
  })

  describe('as every log:', () => {
    const create = async (given: LogLimits) =>
      redisEventLog({ ...given, redis: master.url, waitReplicas: 1, pollIntervalMs: 200 })
    eventLogSuite(test, create)
    streamLogSuite(test, create)
  })

  test('no reader sees an event before a replica has it, and each one sees it once afterwards', async () => {
    const [writer, reader] = [logOf(), logOf()]
    const follower = await Follower.of(reader, 'a')
    const [before] = await writer.append('a', [{ data: '1' }])
    await until(() => follower.seen.length === 1)
    replica.freeze()
    // One batch, and one by one.
    const appends = [
      writer.append('a', [{ data: '2' }, { data: 'ü😀' }]),
      writer.append('a', [{ data: '4', idempotencyKey: 'k' }]),
    ]
    await arrived('a', 4)
    const again = writer.append('a', [{ data: '4', idempotencyKey: 'k' }])
    const place = before?.id as string
    expect(await dataOf(reader, 'a')).toEqual(['1'])
    expect(await reader.read('a', place, all)).toEqual({ entries: [], gap: undefined, head: place })
    expect((await reader.read('a', { last: 2 }, all)).entries.map(({ data }) => data)).toEqual([
      '1',
    ])
    expect(await reader.heads(['a'])).toEqual([place])
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(follower.data).toEqual(['1'])
    replica.thaw()
    const appended = [...(await Promise.all(appends)).flat(), ...(await again)]
    expect(appended.map(({ duplicate }) => duplicate)).toEqual([false, false, false, true])
    await until(() => follower.seen.length === 4)
    expect(follower.data).toEqual(['1', '2', 'ü😀', '4'])
    expect(follower.seen.map(({ prevId }) => prevId).slice(1)).toEqual(
      follower.seen.map(({ id }) => id).slice(0, -1),
    )
    expect(await dataOf(reader, 'a')).toEqual(['1', '2', 'ü😀', '4'])
    expect(await reader.heads(['a'])).toEqual([appended[2]?.id])
  })

  test('an event whose publish was rejected comes with the next one, or when somebody looks once a replica has it', async () => {
    const [writer, reader] = [logOf(master.url, { timeoutMs: 400 }), logOf()]
    const follower = await Follower.of(reader, 'b')
    replica.freeze()
    await expect(writer.append('b', [{ data: '1' }])).rejects.toMatchObject({
      code: 'ERR_LOG_UNAVAILABLE',
      message: expect.stringMatching(/is on 0 replicas .* It may have been done all the same/),
    })
    await expect(writer.append('b', [{ data: '2' }])).rejects.toThrow()
    expect(await dataOf(reader, 'b')).toEqual([])
    expect(follower.data).toEqual([])
    replica.thaw()
    await until(() => follower.seen.length === 2)
    await logOf().append('b', [{ data: '3' }])
    await until(() => follower.seen.length === 3)
    expect(follower.data).toEqual(['1', '2', '3'])
  })

  test('what a process appended that then ended is shown by others', async () => {
    const proxy = await TcpProxy.start(master.url)
    const [writer, reader] = [logOf(proxy.url), logOf()]
    const follower = await Follower.of(reader, 'c')
    await writer.ready()
    replica.freeze()
    const append = writer.append('c', [{ data: '1' }])
    append.catch(() => undefined)
    await arrived('c', 1)
    await proxy.close()
    await writer.close()
    expect(await dataOf(reader, 'c')).toEqual([])
    replica.thaw()
    await until(() => follower.seen.length === 1)
    expect(await dataOf(logOf(), 'c')).toEqual(['1'])
  })

  test('streams are the same: chunks and ends come to readers of other processes once a replica has them', async () => {
    const [writer, reader] = [logOf(), logOf()]
    const { info } = await writer.claim('s', { token: 't', leaseMs: 60_000, limits })
    const follower = await Follower.of(reader, 's')
    const entry = { id: '1-7', prevId: info.origin, data: '"x"', event: undefined }
    replica.freeze()
    const produced = writer.produce('s', { token: 't', leaseMs: 60_000, limits, entries: [entry] })
    await arrived('s', 1)
    expect(await reader.heads(['s'])).toEqual([info.origin])
    replica.thaw()
    expect(await produced).toBe('appended')
    await until(() => follower.seen.length === 1)
    replica.freeze()
    const ended = logOf().endStream('s', { event: 'stream-end', data: '{"state":"aborted"}' })
    await arrived('s', 2)
    expect(await dataOf(reader, 's')).toEqual(['"x"'])
    replica.thaw()
    await ended
    await until(() => follower.seen.length === 2)
    expect((await reader.heads(['s']))[0]).toBe('2-0')
  })

  test('a stream whose producer is gone ends for its readers too', async () => {
    const log = logOf()
    const { info } = await log.claim('o', { token: 't', leaseMs: 300, limits })
    const follower = await Follower.of(log, 'o')
    await until(() => follower.seen.length === 1)
    expect(follower.seen[0]).toMatchObject({ id: '1-0', prevId: info.origin })
  })

  test('a channel that is closed keeps what waits for a replica, and shows it', async () => {
    const log = logOf()
    const follower = await Follower.of(log, 'd')
    replica.freeze()
    const append = log.append('d', [{ data: '1' }])
    await arrived('d', 1)
    const closing = logOf().closeChannel('d')
    replica.thaw()
    await Promise.all([append, closing])
    await until(() => follower.seen.length === 1)
    await expect(log.append('d', [{ data: '2' }])).rejects.toMatchObject({
      code: 'ERR_CHANNEL_CLOSED',
    })
  })

  test('whoever has seen an event that a new master does not know to be shown goes on behind it, without a gap', async () => {
    const log = logOf()
    const ids = (await log.append('e', [{ data: '1' }, { data: '2' }])).map(({ id }) => id)
    const [, meta] = channelKeys('headwater', 'e').keys
    await master.cli('HSET', meta, 'w', ids[0] as string)
    const page = await log.read('e', ids[1] as string, all)
    expect(page).toEqual({ entries: [], gap: undefined, head: ids[1] })
    expect(await log.heads(['e'])).toEqual([ids[0]])
    // Somebody has looked.
    await until(async () => (await log.heads(['e']))[0] === ids[1])
    expect(await dataOf(log, 'e')).toEqual(['1', '2'])
  })

  test.each(['x', '', '9-9', '1'])(
    '%j in the place of what was shown hides nothing',
    async (shown) => {
      const log = logOf()
      await log.append('f', [{ data: '1' }])
      const [, meta] = channelKeys('headwater', 'f').keys
      await master.cli('HSET', meta, 'w', shown)
      expect(await dataOf(log, 'f')).toEqual(['1'])
      await log.append('f', [{ data: '2' }])
      expect(await dataOf(log, 'f')).toEqual(['1', '2'])
    },
  )

  test('clients, and proxies, get an event when a replica has it', async () => {
    const items: unknown[] = []
    const config = { control_uri: 'http://proxy.invalid/', control_iss: 'pushpin', key: 'changeme' }
    const fetch = async (_url: unknown, init?: RequestInit) => {
      items.push(...JSON.parse(String(init?.body)).items)
      return new Response('Published\n')
    }
    const grip = new Publisher(config, { fetch })
    const { eventStream, app, serve } = setUp({ log: logOf() })
    app.get('/:id', eventStream('{id}'))
    const elsewhere = new EventStream({ log: logOf(), grip })
    open.push(elsewhere)
    const client = await (await (await serve())('/g')).opened()
    replica.freeze()
    const published = elsewhere.publishEvent('g', { data: 1 })
    await arrived('g', 1)
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect([client.data, items]).toEqual([[], []])
    replica.thaw()
    await published
    await client.received(1)
    expect([client.data, items.length > 0]).toEqual([[1], true])
  })
})
