import { describe, expect, test } from '@jest/globals'
import { errorResponse, type FetchOptions, fetchHandler } from '../src/fetch.js'
import { requestOf, setUpFetch } from './support/web-requests.js'

describe('fetchHandler', () => {
  test('takes values of parameters, also of promised ones, or asks a function', async () => {
    const { eventStream } = setUpFetch()
    const handler = fetchHandler(eventStream, ['room-{id}', 'news'])
    await handler(requestOf(), { params: { id: '7' } })
    await handler(requestOf(), { params: Promise.resolve({ id: '8' }) })
    const byUrl = fetchHandler(eventStream, ({ url }) => new URL(url).pathname)
    await byUrl(requestOf())
    expect(eventStream.connections().map(({ channels }) => channels)).toEqual([
      ['news', 'room-7'],
      ['news', 'room-8'],
      ['/events'],
    ])
    expect((await handler(requestOf())).status).toBe(400)
    expect((await handler(requestOf(), { params: { id: ['7'] } })).status).toBe(400)
  })

  test("answers a request's errors, and throws the server's", async () => {
    const { eventStream } = setUpFetch()
    const failing = (error: unknown) =>
      fetchHandler(eventStream, 'a', {
        authorize() {
          throw error
        },
      })(requestOf())
    const refused = await fetchHandler(eventStream, 'a')(requestOf({ method: 'PUT' }))
    expect([refused.status, refused.headers.get('allow'), await refused.text()]).toEqual([
      405,
      'GET, HEAD, POST',
      'What is here answers GET, HEAD, POST, not PUT.\n',
    ])
    const teapot = await failing(Object.assign(new Error('secret'), { status: 418 }))
    expect([teapot.status, await teapot.text()]).toEqual([
      418,
      'The event stream cannot be served.\n',
    ])
    const broken = new Error('database at 10.0.0.1')
    await expect(failing(broken)).rejects.toBe(broken)
    const response = errorResponse(broken)
    expect([response.status, await response.text()]).toEqual([
      500,
      'The event stream cannot be served.\n',
    ])
  })

  test('refuses what can never work', () => {
    const { eventStream } = setUpFetch()
    const wrong: [unknown, unknown][] = [
      ['a\n', {}],
      [7, {}],
      [[], {}],
      [undefined, {}],
      [['a', undefined], {}],
      ['a', null],
      ['a', { connectionKey: 'ip' }],
      ['a', { onopen: () => undefined }],
    ]
    for (const [channels, options] of wrong) {
      expect(() => fetchHandler(eventStream, channels as string, options as FetchOptions)).toThrow(
        expect.objectContaining({ code: expect.stringMatching(/^ERR_(CHANNEL|OPTION)$/) }),
      )
    }
  })

  test('names all options that there are when one is not known', async () => {
    const { eventStream } = setUpFetch()
    const options = { connectionkey: () => 'ann' } as FetchOptions
    const message = expect.stringMatching(/no option "connectionkey"; it has .*connectionKey\. Did/)
    expect(() => fetchHandler(eventStream, 'a', options)).toThrow(
      expect.objectContaining({ code: 'ERR_OPTION', message }),
    )
    await expect(eventStream.fetch(requestOf(), 'a', options)).rejects.toMatchObject({ message })
  })

  test.each([
    ['a context of Hono', { req: { raw: requestOf() } }],
    ["a request of Node's", { method: 'GET', url: '/', headers: {} }],
    ['a URL', 'http://localhost/events'],
    ['nothing', undefined],
  ])('says what to give instead of %s', async (_what, request) => {
    const { eventStream } = setUpFetch()
    await expect(fetchHandler(eventStream, 'a')(request as Request)).rejects.toMatchObject({
      code: 'ERR_OPTION',
      message: expect.stringMatching(/; give a Web Request, such as c\.req\.raw of Hono\./),
    })
    expect(eventStream.connections()).toEqual([])
  })
})
