import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { seqOf } from '../../src/core/entry-id.js'
import { memoryEventLog } from '../../src/log/memory.js'
import { heapUsed } from '../support/heap-used.js'

const all = { maxEvents: 1000, maxLength: 1_000_000 }
const none = { append: () => undefined, suspect: () => undefined }
const ofSize = (length: number) => [{ data: 'x'.repeat(length) }]

describe('channels beyond maxChannels', () => {
  test('followed channels do not count, and those just left keep their history', async () => {
    const log = memoryEventLog({ maxChannels: 150 })
    const leave = new Map<string, () => void>()
    for (let i = 0; i < 1000; i++) leave.set(`c${i}`, await log.follow(`c${i}`, none))
    const seen = new Map<string, string>()
    for (const name of leave.keys()) {
      const [first] = await log.append(name, ofSize(1))
      await log.append(name, ofSize(1))
      seen.set(name, first?.id ?? '')
    }
    const away = [...leave.keys()].slice(0, 100)
    for (const name of away) leave.get(name)?.()
    // Others come and go meanwhile.
    for (let i = 0; i < 1000; i++) (await log.follow(`other-${i}`, none))()
    const gaps = await Promise.all(
      away.map(async (name) => (await log.read(name, seen.get(name) ?? '', all)).gap),
    )
    expect(gaps).toEqual(away.map(() => undefined))
    await log.close()
  })

  test('by default, all of maxConnections may leave at once and come back', async () => {
    const log = memoryEventLog()
    const names = Array.from({ length: 50_000 }, (_, i) => `c${i}`)
    const heads: string[] = []
    const leave = []
    for (const name of names) {
      leave.push(await log.follow(name, none))
      heads.push((await log.heads([name]))[0] ?? '')
    }
    for (const one of leave) one()
    expect(await log.heads(names)).toEqual(heads)
    await log.close()
  })

  test('a stream that goes on is kept, though nobody follows it', async () => {
    const log = memoryEventLog({ maxChannels: 10 })
    const limits = { maxEvents: 100, maxBytes: 100_000, maxAgeMs: 60_000 }
    await log.claim('answer', { token: 't', leaseMs: 60_000, limits })
    for (let i = 0; i < 100; i++) await log.append(`c${i}`, ofSize(1))
    expect(await log.renew([{ channel: 'answer', token: 't', leaseMs: 60_000 }])).toEqual([true])
    await log.close()
  })

  test('those that are forgotten are the unfollowed ones that were unused for longest', async () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f']
    const maxChannels = 3
    const step = fc.record({
      act: fc.constantFrom('append', 'read', 'heads', 'follow', 'leave', 'pass'),
      name: fc.constantFrom(...names),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
        const log = memoryEventLog({ maxChannels })
        const model = new Model(maxChannels)
        const leave = new Map<string, () => void>()
        let passing = 0
        for (const { act, name } of steps) {
          if (act === 'pass') {
            passing += 1
            await log.heads([`passing-${passing}`])
            model.use(`passing-${passing}`)
          } else if (act === 'leave') {
            leave.get(name)?.()
            if (leave.delete(name)) model.leave(name)
          } else if (act === 'follow') {
            if (!leave.has(name)) leave.set(name, await log.follow(name, none))
            model.follow(name)
          } else {
            if (act === 'append') await log.append(name, ofSize(1))
            else if (act === 'read') await log.read(name, 'earliest', all)
            else await log.heads([name])
            model.use(name, act === 'append')
          }
        }
        for (const name of names) {
          const isKept = model.hasEvents(name)
          // To look is to use.
          const [head = ''] = await log.heads([name])
          model.use(name)
          expect([name, seqOf(head) > 0]).toEqual([name, isKept])
        }
        await log.close()
      }),
      { numRuns: 300 },
    )
  })
})

/** The rule in the plainest words: looks through all channels each time. */
class Model {
  readonly #max: number
  /** In order of use. */
  #channels: { readonly name: string; isFollowed: boolean; hasEvents: boolean }[] = []

  constructor(max: number) {
    this.#max = max
  }

  use(name: string, appends = false): void {
    const channel = this.#take(name)
    if (!channel.isFollowed) this.#makeRoom()
    channel.hasEvents ||= appends
    this.#channels.push(channel)
  }

  follow(name: string): void {
    const channel = this.#take(name)
    this.#channels.push({ ...channel, isFollowed: true })
  }

  leave(name: string): void {
    const channel = this.#take(name)
    this.#makeRoom()
    this.#channels.push({ ...channel, isFollowed: false })
  }

  hasEvents(name: string): boolean {
    return this.#channels.some((it) => it.name === name && it.hasEvents)
  }

  #take(name: string) {
    const found = this.#channels.find((it) => it.name === name)
    this.#channels = this.#channels.filter((it) => it !== found)
    return found ?? { name, isFollowed: false, hasEvents: false }
  }

  #makeRoom(): void {
    const unfollowed = this.#channels.filter(({ isFollowed }) => !isFollowed)
    if (unfollowed.length < this.#max) return
    const goes = unfollowed.find(({ hasEvents }) => !hasEvents) ?? unfollowed[0]
    this.#channels = this.#channels.filter((it) => it !== goes)
  }
}

describe('what events cost', () => {
  const text = (i: number, pad: string) => JSON.stringify({ n: i, pad })
  test.each<[string, (i: number) => { event?: string; data: string; idempotencyKey?: string }]>([
    ['of one byte', () => ({ data: '1' })],
    ['of a hundred bytes', (i) => ({ data: text(i, 'x'.repeat(80)) })],
    ['of a thousand bytes', (i) => ({ data: text(i, 'x'.repeat(980)) })],
    ['of accents', (i) => ({ data: text(i, 'é'.repeat(80)) })],
    ['of Chinese', (i) => ({ data: text(i, '漢'.repeat(80)) })],
    ['with one character that is not ASCII', (i) => ({ data: text(i, `😀${'x'.repeat(980)}`) })],
    ['with names of their own', (i) => ({ event: `name-${i}`.padEnd(60, '-'), data: '1' })],
    ['with keys', (i) => ({ data: '1', idempotencyKey: `key-${i}`.padEnd(36, '-') })],
  ])(
    '%s: the heap holds no more than maxTotalBytes says, and not much less',
    async (_, make) => {
      const maxTotalBytes = 16_000_000
      const log = memoryEventLog({ maxEvents: 1e6, maxBytes: 1e9, maxTotalBytes })
      const names = Array.from({ length: 100 }, (_, i) => `c${i}`)
      // What is made only once is there.
      for (const name of names) await log.append(name, [make(-1)])
      const before = await heapUsed()
      for (let n = 0; n < 80_000; n++) await log.append(names[n % 100] as string, [make(n)])
      const bytes = (await heapUsed()) - before
      expect(bytes).toBeLessThan(maxTotalBytes)
      expect(bytes).toBeGreaterThan(maxTotalBytes * 0.4)
      await log.close()
    },
    60_000,
  )

  test('maxBytes and maxTotalBytes count what an event takes beside its text', async () => {
    const log = memoryEventLog({ maxEvents: 100_000, maxBytes: 100_000, maxTotalBytes: 200_000 })
    for (let i = 0; i < 5000; i++) await log.append('a', ofSize(1))
    const { entries } = await log.read('a', 'earliest', { ...all, maxEvents: 100_000 })
    // An event of one byte takes some two hundred.
    expect(entries.length).toBeLessThan(100_000 / 200)
    for (let c = 0; c < 1000; c++) {
      for (let i = 0; i < 5; i++) await log.append(`c${c}`, ofSize(1))
    }
    const kept = await Promise.all(
      Array.from({ length: 1000 }, async (_, c) => log.read(`c${c}`, 'earliest', all)),
    )
    const count = kept.reduce((sum, page) => sum + page.entries.length, 0)
    expect(count).toBeLessThan(200_000 / 200)
    expect(count).toBeGreaterThan(100)
    await log.close()
  })

  test('text that needs two bytes for each of its characters counts twice', async () => {
    const log = memoryEventLog({ maxBytes: 10_000 })
    for (let i = 0; i < 100; i++) {
      await log.append('ascii', [{ data: 'x'.repeat(1000) }])
      await log.append('wide', [{ data: `😀${'x'.repeat(998)}` }])
    }
    const [ascii, wide] = await Promise.all(
      ['ascii', 'wide'].map(async (name) => (await log.read(name, 'earliest', all)).entries.length),
    )
    expect([ascii, wide]).toEqual([7, 4])
    await log.close()
  })

  test('an idempotency key counts too', async () => {
    const log = memoryEventLog({ maxEvents: 100_000, maxBytes: 100_000 })
    for (let i = 0; i < 1000; i++) {
      await log.append('keyed', [{ data: '1', idempotencyKey: `${i}`.padStart(255, '-') }])
      await log.append('plain', [{ data: '1' }])
    }
    const [keyed, plain] = await Promise.all(
      ['keyed', 'plain'].map(
        async (name) => (await log.read(name, 'earliest', all)).entries.length,
      ),
    )
    expect((plain as number) / (keyed as number)).toBeGreaterThan(2)
    await log.close()
  })
})
