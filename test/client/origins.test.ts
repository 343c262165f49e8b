import type { IncomingMessage } from 'node:http'
import { describe, expect, test } from '@jest/globals'
import type { RequestBody } from '../../src/client.js'
import { startServer } from '../support/server.js'
import { openSource, streamHead } from './open-source.js'

async function bodyOf(req: IncomingMessage): Promise<string> {
  let text = ''
  for await (const part of req) text += part
  return text
}

/** Two origins: the first one redirects to the second one. */
async function redirecting(status: number) {
  const seen: string[] = []
  const other = await startServer(async (req, res) => {
    seen.push(`${req.method} ${await bodyOf(req)}`)
    streamHead(res).write('data: 1\n\n')
  })
  const { url } = await startServer(async (req, res) => {
    await bodyOf(req)
    res.writeHead(status, { Location: `${other.url}/next` }).end()
  })
  return { url, seen }
}

describe('a redirect to another origin', () => {
  const bodies: [string, string, RequestBody][] = [
    ['POST', 'text', 'secret'],
    ['POST', 'bytes', new TextEncoder().encode('secret')],
    ['POST', 'parameters', new URLSearchParams({ a: 'secret' })],
    ['POST', 'a form', new FormData()],
    ['POST', 'a file', new Blob(['secret'])],
    ['PUT', 'text', 'secret'],
  ]

  test.each([307, 308].flatMap((status) => bodies.map((body) => [status, ...body] as const)))(
    'by %s of a %s is not sent its body: %s',
    async (status, method, _kind, body) => {
      const { url, seen } = await redirecting(status)
      const { errors, closes } = openSource(url, { method, body })

      await closes()

      expect(errors).toMatchObject([
        { code: 'ERR_REDIRECT', isFinal: true, status, message: expect.stringMatching(/body/) },
      ])
      expect(seen).toEqual([])
    },
  )

  test('by 302 of a PUT is not sent its body either, as it stays a PUT', async () => {
    const { url, seen } = await redirecting(302)
    const { errors, closes } = openSource(url, { method: 'PUT', body: 'secret' })

    await closes()

    expect(errors).toMatchObject([{ code: 'ERR_REDIRECT', isFinal: true }])
    expect(seen).toEqual([])
  })

  test.each([
    [301, 'POST', 'secret', 'GET '],
    [302, 'POST', 'secret', 'GET '],
    [303, 'POST', 'secret', 'GET '],
    [307, 'POST', undefined, 'POST '],
    [308, 'GET', undefined, 'GET '],
  ])('by %s of a %s with the body %p is followed, as %s', async (status, method, body, then) => {
    const { url, seen } = await redirecting(status)
    const { receives } = openSource(url, { method, body })

    await receives(1)

    expect(seen).toEqual([then])
  })
})
