import { describe, expect, jest, test } from '@jest/globals'
import { EventStream, EventStreamError } from '../src/index.js'

describe('an event stream', () => {
  test('is an instance that can be called, and keeps what functions have', () => {
    const eventStream = new EventStream()
    expect(eventStream).toBeInstanceOf(EventStream)
    expect(typeof eventStream).toBe('function')
    expect(typeof eventStream('a')).toBe('function')
    expect(eventStream.call(null, 'a')).toHaveLength(3)
  })

  test('takes what its predecessor took', () => {
    for (const options of [
      undefined,
      null,
      {},
      { grip: null, gripPrefix: 'x-' },
      { grip: undefined },
    ]) {
      expect(new EventStream(options)).toBeInstanceOf(EventStream)
    }
  })

  test.each([
    [{ keepAliveMs: 0 }, /keepAliveMs is 0; give a whole number from 1 to 2147483647/],
    [{ keepAliveMs: 2 ** 31 }, /keepAliveMs is 2147483648/],
    [{ maxQueueBytes: '1MB' }, /maxQueueBytes is "1MB"; give a whole number/],
    [{ stallTimeoutMs: -1 }, /stallTimeoutMs is -1/],
    [{ maxChannelsPerConnection: 1.5 }, /maxChannelsPerConnection is 1.5/],
    [{ maxConnections: Number.NaN }, /maxConnections is NaN/],
    [{ keepAlive: 'ping' }, /keepAlive is "ping"; give 'comment' or 'event'/],
    [{ whenUnavailable: 'die' }, /whenUnavailable is "die"; give 'retry' or 'reject'/],
    [{ connectionKey: 'ip' }, /connectionKey is "ip"; give a function/],
    [{ onError: {} }, /onError is an object; give a function/],
    [{ log: {} }, /log is an object; give an EventLog such as memoryEventLog/],
    [{ grip: 'localhost' }, /grip cannot be used: it cannot be read .* Give a URL such as/],
    [{ gripPrefix: 7 }, /gripPrefix is 7; give letters, digits and/],
    [
      { keepaliveMs: 5 },
      /EventStream has no option "keepaliveMs"; it has log, redis, .* Did you mean "keepAliveMs"\?/,
    ],
    ['redis://localhost', /The options of EventStream are "redis:/],
  ])('refuses %j, and says what to give', (options, message) => {
    const make = () => new EventStream(options as object)
    expect(make).toThrow(message)
    expect(make).toThrow(EventStreamError)
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_OPTION' }))
  })

  test('tells what goes wrong out of sight by a process warning, unless it is asked to tell otherwise', async () => {
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
    const log = { append: jest.fn(), read: jest.fn(), follow: jest.fn(), close: jest.fn() }
    const heads = async () => {
      throw new Error('away')
    }
    const eventStream = new EventStream({
      log: { ...log, follow: async () => () => undefined, heads } as never,
    })
    const res = {
      setHeader: () => undefined,
      getHeader: () => undefined,
      getHeaderNames: () => [],
      hasHeader: () => false,
      removeHeader: () => undefined,
      end: jest.fn(),
      headersSent: false,
      on: () => undefined,
      off: () => undefined,
    }
    await eventStream('a')({ method: 'GET', headers: {}, url: '/' } as never, res as never)
    expect(warned).toHaveBeenCalledWith(new Error('away'))
    expect(res.end).toHaveBeenCalledWith(expect.stringMatching(/^retry: \d+\n$/))
    warned.mockRestore()
  })
})
