import { describe, expect, test } from '@jest/globals'
import { lastOf, linkOf, proofOf, serveChannels } from '../support/played-proxy.js'
import type { SseClient } from '../support/sse-client.js'

/** Seconds after which the proxy asks. */
const timeoutOf = ({ headers }: SseClient) =>
  Number(/timeout=(\d+)$/.exec(String(headers['grip-link']))?.[1])

/** The group of the proof. */
const groupOf = (answer: SseClient) => Number(proofOf(answer).split('~')[1] ?? 0)

describe('the time at which a proxy asks', () => {
  test('is soon at first, and then within the interval, not the same for all channels', async () => {
    const { open, follow } = await serveChannels({ gripPollMs: 30_000, gripLinkPath: '/links' })
    const timeouts: number[] = []
    for (let n = 0; n < 40; n++) {
      const held = await open(`/events/c${n}`)
      expect(timeoutOf(held)).toBe(1)
      timeouts.push(timeoutOf(await follow(linkOf(held), lastOf(held))))
    }
    expect(new Set(timeouts).size).toBeGreaterThan(5)
    expect(Math.min(...timeouts)).toBeGreaterThanOrEqual(20)
    expect(Math.max(...timeouts)).toBeLessThan(30)
  })

  test('is the same for clients of the same channels, as long as they are not many', async () => {
    const { open, follow } = await serveChannels()
    const held = await open('/events/a,b')
    const answer = await follow(linkOf(held), lastOf(held))
    const { follow: followElsewhere } = await serveChannels()
    const again = await followElsewhere(linkOf(answer), lastOf(answer))
    expect([groupOf(answer), groupOf(again)]).toEqual([0, 0])
    expect([timeoutOf(again), proofOf(again)]).toEqual([timeoutOf(answer), proofOf(answer)])
  })

  test('is another one for those that are more than it asks for at once, and stays it', async () => {
    const { open, follow } = await serveChannels()
    const held = await open('/events/a')
    const [first, ...others] = await Promise.all(
      Array.from({ length: 20 }, () => follow(linkOf(held), lastOf(held))),
    )
    expect([first, ...others].filter((answer) => groupOf(answer as SseClient) === 0)).toHaveLength(
      1,
    )
    const groups = new Map([first, ...others].map((one) => [groupOf(one as SseClient), one]))
    expect(groups.size).toBeGreaterThan(2)
    const timeouts = [...groups.values()].map((one) => timeoutOf(one as SseClient))
    expect(new Set(timeouts).size).toBe(groups.size)
    for (const [group, one] of groups) {
      if (group === 0) continue
      const next = await follow(linkOf(one as SseClient), lastOf(one as SseClient))
      expect([groupOf(next), timeoutOf(next)]).toEqual([group, timeoutOf(one as SseClient)])
    }
  })

  test('is never later than the keep-alive is due, which the proxy then does not write', async () => {
    for (const options of [{}, { keepAliveMs: 5000 }, { keepAliveMs: 1000 }]) {
      const { open, follow } = await serveChannels(options)
      const held = await open('/events/a')
      const answer = await follow(linkOf(held), lastOf(held))
      expect(timeoutOf(answer) * 1000).toBeLessThanOrEqual(options.keepAliveMs ?? 15_000)
      expect(answer.headers['grip-keep-alive']).toBeUndefined()
      expect(answer.text).toBe(':\n')
    }
  })

  test('is its own where it is later, and then the proxy writes keep-alives', async () => {
    const { open, follow } = await serveChannels({ gripPollMs: 60_000 })
    const held = await open('/events/a')
    const answer = await follow(linkOf(held), lastOf(held))
    expect(timeoutOf(answer)).toBeGreaterThanOrEqual(40)
    expect(answer.headers['grip-keep-alive']).toMatch(/timeout=15$/)
    expect(answer.text).toBe('')
  })
})
