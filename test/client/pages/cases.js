// Cases of the Web Platform Tests for EventSource, written anew. They run with whatever `EventSource` is here.

import {
  at,
  dataOf,
  fails,
  hears,
  ids,
  must,
  next,
  opens,
  origin,
  same,
  using,
  waits,
} from './case-tools.js'

const long = 'x'.repeat(2000)

export const basic = {
  'constructor: what is no URL is a SyntaxError': () => {
    try {
      new EventSource('http://this is invalid/').close()
    } catch (error) {
      must(error instanceof DOMException && error.name === 'SyntaxError', String(error))
      return
    }
    throw new Error('Nothing was thrown.')
  },
  'addEventListener: this and data': () =>
    using(new EventSource(at('message')), (source) => {
      return new Promise((resolve, reject) => {
        const listener = function (event) {
          if (this === source && event.data === 'data') resolve()
          else reject(new Error(`${this} has heard ${event.data}`))
        }
        source.addEventListener('message', listener, false)
      })
    }),
  'onmessage: this, data and target': () =>
    using(new EventSource(at('message')), (source) => {
      return new Promise((resolve, reject) => {
        source.onmessage = function (event) {
          this.close()
          const isRight = [this, event.target, event.currentTarget].every((it) => it === source)
          if (isRight && event.data === 'data' && source.readyState === 2) resolve()
          else reject(new Error('It is not of the source.'))
        }
      })
    }),
  'onopen: a plain event': () =>
    using(new EventSource(at('message')), (source) => {
      return new Promise((resolve, reject) => {
        source.onopen = function (event) {
          const { bubbles, cancelable } = event
          const isPlain = !bubbles && !cancelable && !Object.hasOwn(event, 'data')
          if (this === source && this.readyState === 1 && isPlain) resolve()
          else reject(new Error('It is no plain event of the source.'))
        }
      })
    }),
  'prototype: methods can be added': () =>
    using(new EventSource(at('message')), (source) => {
      EventSource.prototype.returnTrue = () => true
      must(source.returnTrue(), 'It was not called.')
    }),
  'url: it is resolved': () =>
    using(new EventSource('message?a'), ({ url }) => same(url, `${origin}/message?a`)),
}

export const formats = {
  'data: lines, comments and unknown fields': hears(
    'data:msg\ndata: msg\n\n:\nfalsefield:msg\n\nfalsefield:msg\nData:data\n\ndata\n\ndata:end',
    ['msg\nmsg', '', 'end'],
  ),
  'constructor: an empty URL': () =>
    using(new EventSource(''), ({ url }) => same(url, self.location.href)),
  'onmessage: a trusted event': () =>
    using(new EventSource(at('message')), async (source) => {
      must((await next(source, 'message')).isTrusted, 'It is not trusted.')
    }),
  'format: one byte order mark': hears('\ufeffdata:1\n\n\ufeffdata:2\n\ndata:3', ['1', '3']),
  'format: two byte order marks': hears('\ufeff\ufeffdata:1\n\ndata:2\n\ndata:3', ['2', '3']),
  'format: comments': hears(
    `data:1\n:\0\n:\r\ndata:2\n:${long}\ndata:3\n:data:fail\r:${long}\ndata:4`,
    ['1\n2\n3\n4'],
  ),
  'format: data before the final empty line': () =>
    using(
      new EventSource(
        at('message', { message: 'retry:200\ndata:test1\n\nid:test\ndata:test2', newline: '' }),
      ),
      async (source) => {
        const heard = []
        await new Promise((resolve) => {
          source.onmessage = ({ data, lastEventId }) => {
            heard.push(data, lastEventId)
            if (heard.length === 4) resolve()
          }
        })
        same(heard, ['test1', '', 'test1', ''])
      },
    ),
  'format: field data': hears('data:\n\ndata\ndata\n\ndata:test', ['', '\n', 'test']),
  'format: field event': () =>
    using(
      new EventSource(at('message', { message: 'event:test\ndata:x\n\ndata:y' })),
      async (source) => {
        const [test, message] = await Promise.all([next(source, 'test'), next(source, 'message')])
        same([test.data, message.data], ['x', 'y'])
      },
    ),
  'format: field event, empty': hears('event: \ndata:data', ['data']),
  'format: field id is sent back': () =>
    using(new EventSource(at('last-id', { id: '…' })), async (source) => {
      same(await dataOf(source, 2), ['hello', '…'])
    }),
  'format: field id stays': () =>
    using(new EventSource(at('last-id', { id: 'a' })), async (source) => {
      same(await dataOf(source, 3, 'lastEventId'), ['a', 'a', 'a'])
    }),
  'format: field id with U+0000': () =>
    using(new EventSource(at('last-id', { id: '\0\0' })), async (source) => {
      same(await dataOf(source, 2, 'lastEventId'), ['', ''])
    }),
  'format: field id persists': ids('id: 1\ndata:1\n\ndata:2', ['1', '1']),
  'format: field id changes': ids('id: 1\ndata:1\n\nid: 2\ndata:2\n\ndata:3', ['1', '2', '2']),
  'format: field id is reset': ids('id: 1\ndata:1\n\nid\ndata:2\n\ndata:3', ['1', '', '']),
  'format: parsing': hears(
    'data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n',
    ['\0\n 2\n1\n3\n\n4'],
  ),
  'format: field retry': waits('retry:3000\ndata:x', 3000),
  'format: field retry, bogus': waits('retry:3000\nretry:1000x\ndata:x', 3000),
  'format: field retry, empty': waits('retry:1000\nretry\ndata:test', 1000),
  'format: unknown fields': hears(
    'data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test',
    ['test\n\ntest'],
  ),
  'format: leading space': hears('data:\ttest\rdata: \ndata:test', ['\ttest\n\ntest']),
  'format: another type': fails(() => new EventSource(at('message', { mime: 'text/x-bogus' }))),
  'format: type with a semicolon': opens(
    () => new EventSource(at('message', { mime: 'text/event-stream;' })),
  ),
  'format: type with a parameter': hears('data:ok', ['ok'], { mime: 'text/event-stream;x=bogus' }),
  'format: newlines': hears('data:test\r\ndata\ndata:test\r\n\r', ['test\n\ntest'], {
    newline: '',
  }),
  'format: null character': hears('data:\0\n\n\n\n', ['\0']),
  'format: it is UTF-8, whatever is said': hears('data:ok…', ['ok…'], {
    mime: 'text/event-stream;charset=windows-1252',
  }),
  'request: Accept': () =>
    using(new EventSource(at('asked-with', { name: 'accept' })), async (source) => {
      same(await dataOf(source, 1), ['GET text/event-stream'])
    }),
  'request: Cache-Control': () =>
    using(new EventSource(at('asked-with', { name: 'cache-control' })), async (source) => {
      same(await dataOf(source, 1), ['GET no-cache'])
    }),
  'request: never a POST': () =>
    using(new EventSource(at('redirect', { status: 307, to: '/asked-with' })), async (source) => {
      must((await dataOf(source, 1))[0].startsWith('GET '), 'It is no GET.')
    }),
}

export const refusals = Object.fromEntries(
  [
    'ftp://example.not/',
    'about:blank',
    'mailto:whatwg@awesome.example',
    "javascript:alert('FAIL')",
  ].map((url) => [
    `constructor: as after a network error: ${url}`,
    fails(() => new EventSource(url)),
  ]),
)

export const closing = {
  'close: readyState': () =>
    using(new EventSource(at('message')), async (source) => {
      same(source.readyState, source.CONNECTING)
      await next(source, 'open')
      same(source.readyState, source.OPEN)
      source.close()
      same(source.readyState, source.CLOSED)
    }),
}

export const withoutNew = {
  'constructor: not without new': () => {
    try {
      EventSource('/message')
    } catch (error) {
      must(error instanceof TypeError, String(error))
      return
    }
    throw new Error('Nothing was thrown.')
  },
}
