import { describe, expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import { Pool } from 'pg'
import { createClient } from 'redis'
import { fetchHandler } from '../src/fetch.js'
import { EventStream, memoryEventLog } from '../src/index.js'
import { healthHandler, metricsHandler, prometheusMetrics, statusPage } from '../src/observe.js'
import { postgresEventLog, purgePostgres, setUpPostgres } from '../src/postgres.js'
import { redisEventLog } from '../src/redis.js'
import { CompletionStore, recoveryHandler, resilience, StreamRegistry } from '../src/resilience.js'
import { createContext } from '../src/resumable/context.js'
import { resolveStreamsOptions } from '../src/resumable/options.js'
import {
  createPostgresResumableStreamContext,
  createResumableStreamContext,
} from '../src/resumable.js'

const eventStream: EventStream = new EventStream()
const web = new Request('http://a/', { headers: { Accept: 'text/event-stream' } })
const host = { options: resolveStreamsOptions(), keyPrefix: 'x', waitUntil: null, serveEnded: true }
const context = createContext({
  log: memoryEventLog(),
  nameOf: (id: string) => id,
  onError: () => undefined,
  ...host,
})

const redisClients = () => [new Redis({ lazyConnect: true }), createClient()]

/** All that takes options. */
const entrances: Record<string, (options: never) => unknown> = {
  EventStream: (options) => new EventStream(options),
  'a route': (options) => eventStream('a', options),
  run: (options) => eventStream.run({} as never, {} as never, 'a', options),
  fetch: (options) => eventStream.fetch(web, 'a', options),
  fetchHandler: (options) => fetchHandler(eventStream, 'a', options),
  track: (track) => eventStream('a', { track }),
  createChannelWritable: (options) => eventStream.createChannelWritable('a', options),
  createWritable: (options) => eventStream.getChannelPublisher('a').createWritable(options),
  close: (options) => new EventStream().close(options),
  'streams.handler': (options) => eventStream.streams.handler('a', undefined, options),
  'streams.fetch': (options) => eventStream.streams.fetch(web, 'a', undefined, options),
  'streams.create': (options) => eventStream.streams.create('a', ['text'], options),
  'streams.open': (options) => eventStream.streams.open('a', ['text'], options),
  'streams.read': (options) => eventStream.streams.read('a', options),
  memoryEventLog: (options) => memoryEventLog(options),
  redisEventLog: (options) => redisEventLog(options),
  postgresEventLog: (options) => postgresEventLog(options),
  setUpPostgres: (options) => setUpPostgres('postgres://127.0.0.1:9/a', options),
  purgePostgres: (options) => purgePostgres('postgres://127.0.0.1:9/a', options),
  createResumableStreamContext: (options) => createResumableStreamContext(options),
  createPostgresResumableStreamContext: (options) => createPostgresResumableStreamContext(options),
  'close of a context': (options) => context.close(options),
  resilience: (options) => resilience(eventStream, options),
  recoveryHandler: (options) => recoveryHandler(eventStream, options),
  register: (options) => new StreamRegistry(eventStream).register(options),
  storeCompletion: (options) => new CompletionStore(eventStream).storeCompletion('a', options),
  getEvents: (options) => new CompletionStore(eventStream).getEvents('a', options),
  prometheusMetrics: (options) => prometheusMetrics(eventStream, options),
  metricsHandler: (options) => metricsHandler(eventStream, options),
  healthHandler: (options) => healthHandler(eventStream, options),
  statusPage: (options) => statusPage(eventStream, options),
}

describe('a client that is given in place of options', () => {
  test.each<[string, (given: never) => unknown, string, readonly object[]]>([
    ['postgresEventLog', (given) => postgresEventLog(given), 'pool', [new Pool()]],
    [
      'createPostgresResumableStreamContext',
      (given) => createPostgresResumableStreamContext(given),
      'pool',
      [new Pool()],
    ],
    ['redisEventLog', (given) => redisEventLog(given), 'redis', redisClients()],
    ['EventStream', (given) => new EventStream(given), 'redis', redisClients()],
    [
      'createResumableStreamContext',
      (given) => createResumableStreamContext(given),
      'publisher',
      redisClients(),
    ],
  ])('is refused by %s, which says the right call', (owner, call, main, clients) => {
    for (const given of ['redis://u:secret@h/', ...clients]) {
      const refused = {
        code: 'ERR_OPTION',
        message: expect.stringContaining(`Call ${owner}({ ${main} }).`),
      }
      expect(() => call(given as never)).toThrow(expect.objectContaining(refused))
      expect(() => call(given as never)).not.toThrow('secret')
    }
  })

  test('is told from options that are of a class', async () => {
    class Options {
      get keepAliveMs() {
        return 5000
      }
    }
    await new EventStream(new Options()).close()
    await new EventStream(Object.create(null)).close()
  })
})

describe('an option of a route that cannot work', () => {
  test.each([
    [{ startFrom: 10 }, 'startFrom is 10; give { last: 10 }'],
    [{ track: { user: 'a' } }, 'track.type is missing; give a text, or a function'],
    [{ track: { type: 7 } }, 'track.type is 7; give a text, or a function'],
  ])('is refused with what to give: %p', (options, message) => {
    expect(() => eventStream('a', options as never)).toThrow(
      expect.objectContaining({ code: 'ERR_OPTION', message: expect.stringContaining(message) }),
    )
  })
})

describe('an option that does not exist', () => {
  test.each(Object.keys(entrances))('is refused by %s, with those that there are', async (name) => {
    const use = async () => entrances[name]?.({ noSuchOption: undefined } as never)
    await expect(use()).rejects.toMatchObject({
      name: 'EventStreamError',
      code: 'ERR_OPTION',
      message: expect.stringMatching(/has no option "noSuchOption"; it has \w+/),
    })
  })

  test.each<[string, RegExp]>([
    ['keepAliveMS', /Did you mean "keepAliveMs"\?$/],
    ['onEror', /Did you mean "onError"\?$/],
    ['gripSecrte', /Did you mean "gripSecret"\?$/],
    ['completelyDifferent', /, \w+\.$/],
    ['x'.repeat(5000), /it has log/],
  ])('is told with the one that was meant, if there is one: %.20s', (name, message) => {
    expect(() => new EventStream({ [name]: 1 } as never)).toThrow(message)
  })
})

describe('a channel writable', () => {
  test('refuses a mark that is no whole number', () => {
    for (const highWaterMark of [0, -1, 1.5, '9', null]) {
      const options = { highWaterMark } as never
      expect(() => eventStream.createChannelWritable('a', options)).toThrow(
        expect.objectContaining({ code: 'ERR_OPTION' }),
      )
    }
  })
})
