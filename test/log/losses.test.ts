import { describe, expect, test } from '@jest/globals'
import { KnownTails } from '../../src/log/known-tails.js'
import { Losses, type LossHost } from '../../src/log/losses.js'
import { ReferenceStore } from '../support/reference-store.js'

const limit = { maxEvents: 100, maxLength: 100_000 }

/** A process with a store that goes back without breaking a connection, so that only what it does can show it. */
class Process {
  readonly losses: Losses
  readonly #store: ReferenceStore

  constructor(store: ReferenceStore, own: Partial<LossHost> = {}) {
    this.#store = store
    const host: LossHost = {
      server: () => 0,
      read: async (...args) => store.read(...args),
      heads: async (channels) =>
        channels.map((channel) => ({ head: store.head(channel), end: store.head(channel) })),
      look: async (tails) => tails.map((tail) => store.look(tail)),
      mark: async (tail) => store.mark(tail).looked,
      ...own,
    }
    this.losses = new Losses(host, new KnownTails(store.now))
  }

  append(data: string): string {
    const asked = this.losses.asks('a')
    const { appended, wasLost } = this.#store.append('a', [{ data }], asked)
    this.losses.appended('a', appended, 0, wasLost)
    return appended[0]?.id as string
  }

  async read(from: string): Promise<string[]> {
    const { entries } = await this.losses.read('a', from, limit)
    return entries.map(({ data, isLoss }) => (isLoss ? 'loss' : data))
  }
}

/** A process has appended 1 to 3, of which only 1 is left, and another one has appended 4. */
function loseTail() {
  const store = new ReferenceStore(100)
  const [knower, other] = [new Process(store), new Process(store)]
  const first = knower.append('1')
  const goBack = store.save()
  const [, last] = ['2', '3'].map((data) => knower.append(data))
  goBack()
  other.append('4')
  return { knower, other, first, last: last as string }
}

describe('what a process knows to have been in a log', () => {
  test('is missed by a read of what was left, which marks the loss', async () => {
    const { knower, other, first } = loseTail()
    expect(await knower.read(first)).toEqual(['4', 'loss'])
    expect(await other.read(first)).toEqual(['4', 'loss'])
  })

  test('is missed by a read behind what was lost, which goes on from what was left', async () => {
    const { knower, other, last } = loseTail()
    expect(await knower.read(last)).toEqual(['loss', '4', 'loss'])
    expect(await other.read(last)).toEqual(['loss', '4', 'loss'])
  })

  test('is missed by a look at heads, which tells the head behind the mark', async () => {
    const { knower, other, first } = loseTail()
    const [head] = await knower.losses.heads(['a'])
    expect(await other.read(first)).toEqual(['4', 'loss'])
    expect(await other.losses.heads(['a'])).toEqual([head])
  })

  test('is told to those who watch, once for a loss', async () => {
    const { knower, first } = loseTail()
    const told: string[] = []
    knower.losses.watch((channel) => told.push(channel))
    await Promise.all([knower.read(first), knower.read(first), knower.losses.check()])
    await knower.read(first)
    expect(told).toEqual(['a'])
  })

  test('is nothing that a position says which somebody made up', async () => {
    const { other, first } = loseTail()
    const { gap } = await other.losses.read('a', '3-1', limit)
    expect(gap).toBe('unknown')
    expect(await other.read(first)).toEqual(['4'])
  })
})
