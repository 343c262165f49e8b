import { at, dataOf, fails, must, next, opens, origin, other, same, using } from './case-tools.js'
import { refusals } from './cases.js'

/** Those that workers have no part in. */
export const inWindow = {
  'close: events, over a reconnect up to 204': () =>
    using(new EventSource(at('twice')), async (source) => {
      const heard = []
      await new Promise((resolve) => {
        source.onmessage = ({ data }) => heard.push(data)
        source.onerror = ({ type }) => {
          heard.push(type, source.readyState)
          if (source.readyState === 2) setTimeout(resolve, 100)
        }
      })
      same(heard, ['opened', 'error', 0, 'reconnected', 'error', 0, 'error', 2])
    }),
  'reconnect: after nothing': () =>
    using(new EventSource(at('later')), async (source) => same(await dataOf(source, 1), ['data'])),
  'reconnect: events': () =>
    using(new EventSource(at('later', { first: '1' })), async (source) => {
      const heard = []
      await new Promise((resolve) => {
        source.onerror = ({ type }) => heard.push(type, source.readyState)
        source.onmessage = ({ data }) => {
          heard.push(data)
          if (data === 'data') resolve()
        }
      })
      same(heard, ['ok', 'error', 0, 'data'])
    }),
  ...Object.fromEntries(
    [301, 302, 303, 307].map((status) => [
      `redirect: ${status}`,
      opens(() => new EventSource(at('redirect', { status }))),
    ]),
  ),
  ...Object.fromEntries(
    [204, 205, 210, 299, 404, 410, 503].map((status) => [
      `status: ${status}`,
      fails(() => new EventSource(at('status', { status }))),
    ]),
  ),
  ...Object.fromEntries(
    [
      [{ withCredentials: true }, true],
      [{ withCredentials: false }, false],
      [{}, false],
    ].map(([init, isSent]) => [
      `credentials: ${JSON.stringify(init)}`,
      () =>
        using(new EventSource(at('cookie', {}, other), init), async (source) => {
          same(source.withCredentials, Boolean(init.withCredentials))
          same(await dataOf(source, 2), ['first', `second ${isSent}`])
        }),
    ]),
  ),
  'constructor: an object as URL': opens(() => new EventSource({ toString: () => at('message') })),
  ...Object.fromEntries(
    [1, null, undefined].map((url) => [
      `constructor: ${url} as URL`,
      () => using(new EventSource(url), (source) => same(source.url, `${origin}/${url}`)),
    ]),
  ),
  ...refusals,
  'constructor: document.domain': () => {
    // biome-ignore lint/correctness/noSelfAssign: it is what the case is about.
    document.domain = document.domain
    return opens(() => new EventSource(at('message')))()
  },
  'constructor: URLs are of the window that the class is of': () =>
    using(new frames[0].EventSource('message'), ({ url }) => same(url, `${origin}/frame/message`)),
  'realm: the event is of the window that the class is of': () =>
    using(new frames[0].EventSource(at('message')), async (source) => {
      const event = await next(source, 'message')
      must(event instanceof frames[0].MessageEvent, 'It is of another window.')
    }),
  ...Object.fromEntries(
    [{}, { status: 200 }].map((params) => [
      `cross-origin: ${JSON.stringify(params)}`,
      () =>
        using(
          new EventSource(at('cors', params, other), { withCredentials: true }),
          async (source) => {
            const event = await next(source, 'message')
            same([event.data, event.origin], ['data', other])
          },
        ),
    ]),
  ),
  'cross-origin: redirect': () =>
    using(
      new EventSource(at('redirect', { status: 307, to: at('cors', {}, other) }, other), {
        withCredentials: true,
      }),
      async (source) => same((await next(source, 'message')).origin, other),
    ),
  ...Object.fromEntries(
    [
      ['cors', { origin: 'http://example.org' }],
      ['cors', { origin: '' }],
      ['message', {}],
    ].map(([path, params]) => [
      `cross-origin: not allowed at /${path} ${JSON.stringify(params)}`,
      fails(() => new EventSource(at(path, params, other))),
    ]),
  ),
  ...Object.fromEntries(
    ['safe', 'long', 'unsafe'].map((id) => [
      `cross-origin: preflight, ${id} id`,
      () =>
        using(new EventSource(at('unsafe-id', { id }, other)), (source) =>
          next(source, 'success', 'failure'),
        ),
    ]),
  ),
}
