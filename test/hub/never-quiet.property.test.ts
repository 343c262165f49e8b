import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { type BusyClient, BusyWorld, roundTrip } from './busy-world.js'
import { VirtualClock } from './virtual-clock.js'

/**
 * What is promised, in round trips to the log, while a message comes three times in each of them, for ever: the head of a
 * client; the reset of one whose position is unknown; when one that has missed up to 600 KB is live.
 */
const within = { openCold: 3, openWarm: 1, reset: 3, live: 8 }

/** Of the log in a round trip: those of the channel itself, while messages are late, lost or doubled all the time. */
const readsPerTrip = 1

/** What a client comes with, on a channel that is followed already or not. */
type Position = 'none' | 'invalid' | 'unknown' | 'forged' | 'head' | 'behind'

/** How long each message is on its way: at once, as long as an answer, or anything, so that they come in any order. */
const delays = fc.oneof(
  fc.infiniteStream(fc.constant(0)),
  fc.infiniteStream(fc.constant(roundTrip / 2)),
  fc.infiniteStream(fc.integer({ min: 0, max: 2 * roundTrip })),
  fc.infiniteStream(
    fc.oneof(
      { weight: 8, arbitrary: fc.integer({ min: 0, max: 2 * roundTrip }) },
      // Lost: the next one shows it.
      { weight: 1, arbitrary: fc.constant(undefined) },
    ),
  ),
)

const lives = fc.record({
  delays,
  length: fc.constantFrom(10, 40_000),
  channels: fc.constantFrom(['a'], ['a', 'b', 'c']),
  isWarm: fc.boolean(),
  phase: fc.nat(roundTrip),
  positions: fc.array(
    fc.constantFrom<Position>('none', 'invalid', 'unknown', 'forged', 'head', 'behind'),
    { minLength: 1, maxLength: 4 },
  ),
})

async function cursorOf(world: BusyWorld, channels: readonly string[], position: Position) {
  if (position === 'none') return undefined
  if (position === 'invalid') return 'invalid'
  const behind = { head: 0, behind: 15, unknown: 0, forged: 0 }[position]
  const ids = await Promise.all(channels.map((name) => world.place(name, behind)))
  if (position === 'unknown' || position === 'forged') {
    const nonce = position === 'forged' ? '99999999-7' : '3-7'
    ids.fill(nonce)
  }
  if (channels.length === 1) return { id: ids[0] as string }
  return { positions: new Map(channels.map((name, i) => [name, ids[i] as string])) }
}

describe('while events are published without a pause', () => {
  test('heads, resets and the way to live take a bounded number of round trips, in whatever order messages arrive', async () => {
    let resets = 0
    await fc.assert(
      fc.asyncProperty(lives, async ({ channels, length, isWarm, phase, positions, ...life }) => {
        const clock = new VirtualClock()
        const nextDelay = () => life.delays.next().value
        const world = new BusyWorld(clock, { channels, length, nextDelay })
        const everybody: BusyClient[] = []
        const pass = async (trips: number) => {
          await clock.pass(trips * roundTrip, () => {
            for (const client of everybody) client.look()
            return false
          })
        }
        await pass(10)
        if (isWarm) everybody.push(world.connect(undefined))
        await pass(10)
        await clock.pass(phase)
        world.reads = 0
        const clients = await Promise.all(
          positions.map(async (position) => {
            const cursor = await cursorOf(world, channels, position)
            return { position, client: world.connect(cursor) }
          }),
        )
        everybody.push(...clients.map(({ client }) => client))
        const trips = 30
        await pass(trips)
        const reads = world.reads / channels.length
        const late = clients.flatMap(({ position, client }) => {
          const { openedAfter = 99, resetAfter = 99, liveAfter = 99, faults } = client
          const isLost = !['none', 'head', 'behind'].includes(position)
          resets += client.resets
          const isFine =
            openedAfter <= (isWarm ? within.openWarm : within.openCold) &&
            (isLost ? resetAfter <= within.reset : client.resets === 0) &&
            liveAfter <= within.live &&
            faults.length === 0
          return isFine ? [] : [{ position, openedAfter, resetAfter, liveAfter, faults }]
        })
        await world.end()
        expect(late).toEqual([])
        expect(reads).toBeLessThanOrEqual(trips * readsPerTrip + 8 * positions.length)
      }),
      { numRuns: 200, interruptAfterTimeLimit: 40_000 },
    )
    expect(resets).toBeGreaterThan(100)
  }, 120_000)
})
