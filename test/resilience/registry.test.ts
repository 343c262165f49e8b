import { describe, expect, test } from '@jest/globals'
import { streamName } from '../../src/core/log-names.js'
import { EventStream, type EventStreamOptions, memoryEventLog } from '../../src/index.js'
import { recoveryHandler, resilience, StreamRegistry } from '../../src/resilience.js'
import { setUp } from '../support/app.js'
import { Faucet } from '../support/faucet.js'
import { until } from '../support/until.js'

function setUpRegistry(options: EventStreamOptions = {}) {
  const app = setUp({ onError: () => undefined, ...options })
  return { ...app, ...resilience(app.eventStream) }
}

describe('the registry', () => {
  test('knows what was registered, and by whom', async () => {
    const { registry } = setUpRegistry()
    const stream = { streamId: 'export-7', streamType: 'export', userId: 5, metadata: { rows: 10 } }
    expect(await registry.register(stream)).toBe(true)
    expect(await registry.register({ streamId: 'export-7' })).toBe(false)
    expect(await registry.register((await registry.getStream('export-7')) as never)).toBe(false)
    const known = await registry.getStream('export-7')
    expect(known).toEqual({
      streamId: 'export-7',
      streamType: 'export',
      userId: '5',
      metadata: { rows: 10 },
      state: 'active',
      kind: 'stream',
      startedAt: expect.any(Date),
      lastHeartbeat: expect.any(Date),
      endedAt: undefined,
    })
    expect(await registry.getUserStreams(5)).toEqual([known])
    expect(await registry.getUserStreams('6')).toEqual([])
    expect(await registry.getStream('export-8')).toBeUndefined()
    expect(await registry.getActiveCount()).toBe(1)
  })

  test('lets one of all who register at once have the stream', async () => {
    const { registry } = setUpRegistry()
    const tries = Array.from({ length: 20 }, () => registry.register({ streamId: 'a' }))
    expect((await Promise.all(tries)).filter(Boolean)).toHaveLength(1)
    expect(await registry.heartbeat('a')).toBe(true)
  })

  test('leaves alone what the log has under this id', async () => {
    const { registry, eventStream } = setUpRegistry()
    const source = new Faucet<string>()
    await eventStream.streams.create('answer', source)
    await expect(registry.register({ streamId: 'answer' })).rejects.toThrow(
      'a stream with a source',
    )
    expect(await registry.getStream('answer')).toBeUndefined()
    source.end()
  })

  test('lets who could not register a stream, as the log was away, try again', async () => {
    const log = memoryEventLog()
    const { registry } = setUpRegistry({ log })
    Object.assign(log, { claim: () => Promise.reject(new Error('away')) })
    await expect(registry.register({ streamId: 'a', userId: 'ann' })).rejects.toThrow('away')
    Reflect.deleteProperty(log, 'claim')
    expect(await registry.register({ streamId: 'a', userId: 'ann' })).toBe(true)
  })

  test('begins nothing for a record that has ended, though the log has forgotten its stream', async () => {
    const log = memoryEventLog()
    const { registry } = setUpRegistry({ log })
    await registry.register({ streamId: 'a' })
    await registry.updateState('a', 'completed')
    expect(await log.dropStream(streamName('a'))).toBe(true)
    expect(await registry.register({ streamId: 'a' })).toBe(false)
    expect(await log.inspect(streamName('a'))).toBeUndefined()
    expect((await registry.getStream('a'))?.state).toBe('completed')
  })

  test('takes the first end, and has it from the log', async () => {
    const { registry, eventStream } = setUpRegistry()
    await registry.register({ streamId: 'a' })
    expect(await registry.updateState('a', 'active')).toBe(true)
    expect(await registry.updateState('a', 'failed')).toBe(true)
    expect(await registry.updateState('a', 'completed')).toBe(false)
    expect(await registry.updateState('a', 'active')).toBe(false)
    expect(await registry.unregister('a')).toBe(false)
    expect((await registry.getStream('a'))?.state).toBe('failed')
    expect((await eventStream.streams.status('a'))?.state).toBe('failed')
    await registry.register({ streamId: 'b' })
    await eventStream.streams.stop('b', 'enough')
    expect((await registry.getStream('b'))?.state).toBe('aborted')
    expect(await registry.updateState('b', 'completed')).toBe(false)
    expect(await registry.updateState('unknown', 'completed')).toBe(false)
    expect(await registry.getActiveCount()).toBe(0)
  })

  test('has what was unregistered as completed', async () => {
    const { registry } = setUpRegistry()
    await registry.register({ streamId: 'a' })
    expect(await registry.unregister('a')).toBe(true)
    expect((await registry.getStream('a'))?.state).toBe('completed')
    expect(await registry.unregister('a')).toBe(false)
    expect(await registry.unregister('unknown')).toBe(false)
  })

  test('finds what is silent, until it is heard of', async () => {
    const { registry } = setUpRegistry()
    await registry.register({ streamId: 'a' })
    await registry.register({ streamId: 'b' })
    await until(async () => (await registry.getStaleStreams(0.05)).length === 2)
    await registry.heartbeat('a')
    const stale = await registry.getStaleStreams(0.05)
    expect(stale.map(({ streamId }) => streamId)).toEqual(['b'])
    expect(await registry.getStaleStreams()).toEqual([])
    expect(await registry.getActiveCount(0.05)).toBe(1)
  })

  test('tells who says that a stream lives that it was stopped', async () => {
    const { registry, eventStream } = setUpRegistry()
    await registry.register({ streamId: 'a', userId: 'ann' })
    expect(await registry.heartbeat('a')).toBe(true)
    await eventStream.streams.stop('a')
    expect(await registry.heartbeat('a')).toBe(false)
    expect((await registry.getUserStreams('ann'))[0]?.state).toBe('aborted')
    const source = new Faucet<string>()
    await eventStream.streams.create('b', source, { track: { type: 'chat' } })
    await until(async () => (await registry.getStream('b')) !== undefined)
    expect(await registry.heartbeat('b')).toBe(true)
  })

  test('takes thresholds of parts of a second', async () => {
    const { registry } = setUpRegistry()
    await registry.register({ streamId: 'a' })
    for (const seconds of [16.1, 32.3, 64.9]) {
      expect(await registry.getStaleStreams(seconds)).toEqual([])
      expect(await registry.getActiveCount(seconds)).toBe(1)
    }
  })

  test.each([
    ['an id that is no name', { streamId: 'a\nb' }, 'ERR_CHANNEL'],
    ['no id', {}, 'ERR_CHANNEL'],
    ['nothing', undefined, 'ERR_CHANNEL'],
    ['a type that is none', { streamId: 'a', streamType: '' }, 'ERR_OPTION'],
    ['a user that is an object', { streamId: 'a', userId: {} }, 'ERR_OPTION'],
    ['a user that is no number', { streamId: 'a', userId: Number.NaN }, 'ERR_OPTION'],
    ['a name of track', { streamId: 'a', user: 'ann' }, 'ERR_OPTION'],
    ['metadata with a cycle', { streamId: 'a', metadata: cycle() }, 'ERR_DATA'],
    ['metadata with a BigInt', { streamId: 'a', metadata: { n: 1n } }, 'ERR_DATA'],
    ['metadata that is too long', { streamId: 'a', metadata: 'x'.repeat(17_000) }, 'ERR_DATA'],
  ])('refuses %s, and registers nothing', async (_name, stream, code) => {
    const { registry } = setUpRegistry()
    await expect(registry.register(stream as never)).rejects.toMatchObject({ code })
    expect(await registry.getActiveCount()).toBe(0)
    expect(await registry.register({ streamId: 'a' })).toBe(true)
  })

  test('refuses states that nobody can give, and times that are none', async () => {
    const { registry } = setUpRegistry()
    await registry.register({ streamId: 'a' })
    for (const state of ['expired', 'done', undefined]) {
      await expect(registry.updateState('a', state as never)).rejects.toMatchObject({
        code: 'ERR_OPTION',
      })
    }
    for (const seconds of [-1, Number.NaN, 'soon']) {
      await expect(registry.getStaleStreams(seconds as never)).rejects.toMatchObject({
        code: 'ERR_OPTION',
      })
    }
  })

  test('says what is missing: an event stream, or a log that keeps a registry', () => {
    expect(() => resilience({} as never)).toThrow(expect.objectContaining({ code: 'ERR_OPTION' }))
    const { append, read, heads, follow, closeChannel, close } = memoryEventLog()
    const log = { append, read, heads, follow, closeChannel, close }
    const eventStream = new EventStream({ log })
    expect(() => eventStream.route('a', { track: { type: 'x' } })).toThrow(/keeps no registry/)
    for (const make of [resilience, recoveryHandler, (it: EventStream) => new StreamRegistry(it)]) {
      expect(() => make(eventStream)).toThrow(/keeps no registry/)
    }
  })

  test('says of a log that keeps streams, and no registry, that one is missing', async () => {
    const inner = memoryEventLog()
    const log = new Proxy(inner, {
      has: (target, name) => name !== 'registry' && name in target,
      get: (target, name) => Reflect.get(target, name, target),
    })
    const { eventStream } = setUp({ log })
    const { streams } = eventStream
    const options = { track: { type: 'x' } }
    const request = new Request('http://localhost/a')
    expect(() => streams.handler('{id}', () => ['x'], options)).toThrow(/keeps no registry/)
    for (const made of [
      streams.create('a', ['x'], options),
      streams.fetch(request, 'a', () => ['x'], options),
      eventStream.fetch(request, 'news', options),
    ]) {
      await expect(made).rejects.toThrow(/keeps no registry/)
    }
    expect(await inner.inspect('a')).toBeUndefined()
    await inner.close()
  })

  test('refuses options that are none', () => {
    const wrong = expect.objectContaining({ code: 'ERR_OPTION' })
    for (const name of ['registry', 'streams']) {
      expect(() => new EventStream({ [name]: null })).toThrow(wrong)
    }
    const { eventStream } = setUpRegistry()
    expect(() => resilience(eventStream, null as never)).toThrow(wrong)
  })
})

function cycle(): object {
  const one: { self?: object } = {}
  one.self = one
  return one
}
