import { describe, expect, test } from '@jest/globals'
import { createElement } from 'react'
import { renderToString } from 'react-dom/server'
import {
  EventSourceClient as BrowserClient,
  createEventSource as createBrowserSource,
  storeIn,
} from '../../src/client.js'
import { createEventSource, EventSourceClient } from '../../src/client-node.js'
import { useEventStream, useResumableStream } from '../../src/react.js'
import { startServer } from '../support/server.js'
import { openSource, stream } from './open-source.js'

const url = 'http://127.0.0.1:9/'

/** Renders a hook on a server, where nothing connects. */
function rendering(hook: (url: string, options: never) => unknown) {
  return (options: object) => {
    renderToString(
      createElement(() => {
        hook(url, options as never)
        return null
      }),
    )
  }
}

const clients: Record<string, (options: object) => unknown> = {
  createEventSource: (options) => createEventSource(url, options).close(),
  'new EventSourceClient, in Node': (options) => new EventSourceClient(url, options).close(),
  'new EventSourceClient': (options) => new BrowserClient(url, options).close(),
}

const hooks: Record<string, (options: object) => unknown> = {
  useEventStream: rendering(useEventStream),
  useResumableStream: rendering(useResumableStream),
}

const memory = { getItem: () => null, setItem: () => undefined }

function refusedWith(message: string) {
  return expect.objectContaining({
    name: 'EventSourceError',
    code: 'ERR_OPTION',
    message: expect.stringContaining(message),
  })
}

describe.each(Object.entries({ ...clients, ...hooks }))('%s', (_name, make) => {
  test.each([
    [{ withCredential: true }, 'No option "withCredential". Did you mean withCredentials?'],
    [{ header: { Authorization: 'Bearer 1' } }, 'No option "header". Did you mean headers?'],
    [{ silence: 5000 }, 'No option "silence". Did you mean silenceMs?'],
    [{ Method: 'POST' }, 'No option "Method". Did you mean method?'],
    [{ lastEventId: '5' }, 'No option "lastEventId". Did you mean position?'],
    [{ foo: 1 }, 'No option "foo". Did you mean headers, method, '],
  ])('refuses what it does not know: %p', (options, message) => {
    expect(() => make(options)).toThrow(refusedWith(message))
  })

  test.each([
    [{ retryOn: true }, 'retryOn must be a function.'],
    [{ recover: '/recover' }, 'recover must be a function.'],
    [{ storage: memory }, 'storage must be storeIn(sessionStorage), or alike.'],
    [{ sendPosition: 'url' }, `sendPosition must be 'header' or 'query'.`],
    [{ fetch: null }, 'fetch must be a function.'],
    [{ body: '{}' }, "body needs method: 'POST'."],
    [{ body: () => '{}' }, "body needs method: 'POST'."],
    [{ body: '{}', method: 'GET' }, 'TypeError: '],
    [{ credentials: 'yes' }, 'TypeError: '],
    [{ method: 'A B' }, 'TypeError: '],
  ])('refuses what cannot work: %p', (options, message) => {
    expect(() => make(options)).toThrow(refusedWith(message))
  })
})

describe.each(Object.entries(clients))('%s', (_name, make) => {
  test.each([['x'], [null], [{ 'a b': 'x' }]])(
    'refuses headers that fetch refuses: %p',
    (headers) => {
      expect(() => make({ headers })).toThrow(refusedWith('TypeError: '))
    },
  )

  test('takes all that it documents, also where it is undefined', () => {
    const signal = AbortSignal.abort()
    const all = {
      ...{ headers: {}, method: 'GET', body: undefined, credentials: 'include', fetch },
      ...{ withCredentials: true, jitter: false },
      ...{ minRetryMs: 1, maxRetryMs: 2, silenceMs: 3, maxEventBytes: 4, maxQueuedEvents: 5 },
      ...{ signal, position: '', storage: storeIn(memory), sendPosition: 'query' },
      ...{ retryOn: () => undefined, recover: undefined, shareTabs: false, tabs: undefined },
      ...{ onOpen: () => 1, onMessage: () => 1, onError: undefined, onReset: () => 1 },
      onEnd: () => 1,
    }
    expect(() => make(all)).not.toThrow()
  })
})

describe.each(Object.entries(hooks))('%s', (_name, render) => {
  test.each(['signal', 'maxQueuedEvents', 'onOpen', 'onMessage', 'onError'])(
    'refuses %s of the client, which it would not use',
    (name) => {
      expect(() => render({ [name]: undefined })).toThrow(refusedWith(`No option "${name}"`))
    },
  )

  test('takes all that it documents', () => {
    const both = { key: 'a', keep: 5, headers: () => ({}), silenceMs: 5000, onEvent: () => 1 }
    const ofEvents = { events: ['a'], initial: 0, reduce: () => 1, onReset: () => 1 }
    const ofAnswers = { textOf: () => 'a', stopUrl: '/stop', onStop: () => 1, onEnd: () => 1 }
    const isEvents = render === hooks.useEventStream
    expect(() => render({ ...both, ...(isEvents ? ofEvents : ofAnswers) })).not.toThrow()
    expect(() => render(isEvents ? ofAnswers : ofEvents)).toThrow(refusedWith('No option'))
  })
})

test.each([undefined, null, ''])('createEventSource refuses %p, which is no address', (address) => {
  for (const create of [createEventSource, createBrowserSource]) {
    expect(() => create(address as never)).toThrow(refusedWith('Give the address of a stream'))
  }
})

test.each([undefined, null, '', '/events'])('%p is no address of a stream in Node', (address) => {
  for (const Client of [EventSourceClient, BrowserClient]) {
    expect(() => new Client(address as never)).toThrow(
      expect.objectContaining({ name: 'SyntaxError', message: `Invalid URL: ${address}` }),
    )
  }
})

describe('storeIn', () => {
  test('refuses what keeps nothing', () => {
    for (const storage of ['headwater', 7, {}, new Map()]) {
      expect(() => storeIn(storage as never)).toThrow(
        refusedWith('storeIn needs sessionStorage, or what has getItem and setItem.'),
      )
    }
    expect(() => storeIn(memory, 7 as never)).toThrow(refusedWith('The key must be a string.'))
  })

  test('may have nothing to keep positions in, as on a server, which is told', async () => {
    const server = await startServer(stream('data: 1\nid: 5\n\n'))
    const { errors, receives } = openSource(server.url, { storage: storeIn(undefined as never) })
    await receives(1)
    expect(errors).toMatchObject([{ code: 'ERR_STORAGE' }])
  })
})
