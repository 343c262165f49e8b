import { afterEach, describe, expect, jest, test } from '@jest/globals'
import { EventStream, getEventStreamSingleton } from '../src/index.js'

afterEach(() => {
  jest.restoreAllMocks()
})

describe('the singleton', () => {
  test('is one per key, whoever asks', () => {
    const one = getEventStreamSingleton({ keepAliveMs: 1000 }, 'one')
    expect(one).toBeInstanceOf(EventStream)
    expect(getEventStreamSingleton({ keepAliveMs: 1000 }, 'one')).toBe(one)
    expect(getEventStreamSingleton(undefined, 'one')).toBe(one)
    expect(getEventStreamSingleton({}, 'two')).not.toBe(one)
    expect(getEventStreamSingleton()).toBe(getEventStreamSingleton(null, 'eventStream'))
  })

  test('survives the reload of its module, with what listens to it', async () => {
    const before = getEventStreamSingleton({}, 'reloaded')
    jest.resetModules()
    const again = await import('../src/index.js')
    expect(again.EventStream).not.toBe(EventStream)
    expect(again.getEventStreamSingleton({}, 'reloaded')).toBe(before)
  })

  test('says that other options have no effect', () => {
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
    const log = () => undefined
    getEventStreamSingleton({ keepAliveMs: 1000, onError: log }, 'warned')
    getEventStreamSingleton({ onError: () => undefined, keepAliveMs: 1000 }, 'warned')
    expect(warned).not.toHaveBeenCalled()
    getEventStreamSingleton({ keepAliveMs: 2000 }, 'warned')
    expect(warned).toHaveBeenCalledWith(
      expect.stringMatching(
        /exists with other options, .* restart the process, or use another key/,
      ),
      { code: 'HEADWATER_SINGLETON' },
    )
  })

  test('may be asked for with new, as its predecessor could', () => {
    const Singleton = getEventStreamSingleton as unknown as new (
      options: object,
      key: string,
    ) => EventStream
    expect(new Singleton({}, 'with-new')).toBe(getEventStreamSingleton({}, 'with-new'))
  })
})
