import { describe, expect, jest, test } from '@jest/globals'
import type { EventStreamOptions } from '../../src/index.js'
import { lastOf, linkOf, proxyHeaders, serveChannels } from '../support/played-proxy.js'

describe('the number of different links', () => {
  /** As the proxy passes on a request, which it may hold or not. */
  async function setUpLinks(options: EventStreamOptions) {
    const { direct, told, ...rest } = await serveChannels(options)
    const isHeld = async (path: string, headers: Record<string, string> = {}) => {
      const client = await direct(path, { headers: { ...proxyHeaders(), ...headers } })
      const { 'grip-hold': hold } = client.headers
      if (hold === undefined) client.destroy()
      return hold !== undefined
    }
    return { ...rest, told, isHeld }
  }

  test('is that of paths, of which no more than gripMaxLinks are held, and this is told once', async () => {
    const { isHeld, told } = await setUpLinks({ gripMaxLinks: 2 })
    const paths = ['/events/a', '/events/b', '/events/c', '/events/d', '/events/%61', '/events/a?x']
    const held: boolean[] = []
    for (const path of paths) held.push(await isHeld(path))
    expect(held).toEqual([true, true, false, false, false, true])
    expect(told).toMatchObject([
      { code: 'ERR_GRIP_NOT_HELD', message: expect.stringContaining('Give gripLinkPath') },
    ])
  })

  test('is that of hosts, where links have a path', async () => {
    const { isHeld } = await setUpLinks({ gripMaxLinks: 2, gripLinkPath: '/links' })
    const held: boolean[] = []
    for (const Host of ['a.example', 'b.example', 'c.example', 'a.example']) {
      held.push(await isHeld('/events/a', { Host }), await isHeld('/events/b', { Host }))
    }
    expect(held).toEqual([true, true, true, true, false, false, true, true])
  })

  test('is that of sets of channels which leave no room for a proof', async () => {
    const { isHeld } = await setUpLinks({ gripMaxLinks: 2, gripLinkPath: '/links' })
    const names = Array.from({ length: 22 }, (_, n) => `c${n}`)
    const held: boolean[] = []
    for (const first of [0, 1, 2, 0])
      held.push(await isHeld(`/events/${names.slice(first, first + 20)}`))
    held.push(await isHeld(`/events/${names.slice(0, 20).reverse()}`))
    expect(held).toEqual([true, true, false, true, true])
  })

  test('falls when no proxy asks by one for a while', async () => {
    const { isHeld, open, follow } = await setUpLinks({ gripMaxLinks: 2, gripPollMs: 1000 })
    const first = await open('/events/a')
    expect([await isHeld('/events/b'), await isHeld('/events/c')]).toEqual([true, false])
    const now = performance.now()
    const clock = jest.spyOn(performance, 'now').mockImplementation(() => now + 40_000)
    await follow(linkOf(first), lastOf(first))
    clock.mockImplementation(() => now + 65_000)
    expect([await isHeld('/events/c'), await isHeld('/events/b')]).toEqual([true, false])
    expect(await isHeld('/events/a')).toBe(true)
    clock.mockRestore()
  })
})
