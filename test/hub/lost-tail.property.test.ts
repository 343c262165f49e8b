import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { type Calm, World } from './going-back.js'
import { movesOf } from './moves.js'
import { type Fate, settlePromises, turn } from './simulation.js'
import { Client } from './told-client.js'

const channels = ['a', 'b']
const sets = [['a'], ['a'], ['a'], ['b', 'a']]
const maxEvents = 40

/** How many lives are lived, of each kind. */
const numRuns = Number(process.env.LOST_TAIL_RUNS ?? 500)

interface Seen {
  lives: number
  events: number
  resets: number
  losses: number
}

type Step =
  | { readonly do: 'publish'; readonly channel: number; readonly process: number }
  | { readonly do: 'connect'; readonly client: number; readonly process: number }
  | { readonly do: 'cut'; readonly client: number; readonly share: number }
  | { readonly do: 'stall' | 'drain'; readonly client: number }
  | { readonly do: 'pass'; readonly which: number; readonly times: number }
  | { readonly do: 'check'; readonly process: number }
  | { readonly do: 'goBack'; readonly which: number }
  | { readonly do: 'turn' | 'fail' | 'save' | 'replace' }

const client = fc.nat(sets.length - 1)
const process3 = fc.nat(2)

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 24,
      arbitrary: fc.record({ do: fc.constant('publish'), channel: fc.nat(1), process: process3 }),
    },
    ...movesOf(client),
    { weight: 12, arbitrary: fc.record({ do: fc.constantFrom('stall', 'drain'), client }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('check'), process: process3 }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('fail') }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('save') }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('replace') }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('goBack'), which: fc.nat(3) }) },
  ) as fc.Arbitrary<Step>,
  { minLength: 40, maxLength: 250, size: 'max' },
)

const fates = fc.infiniteStream(
  fc.constantFrom<Fate>('arrives', 'arrives', 'arrives', 'late', 'late', 'late', 'twice', 'lost'),
)

async function take(step: Step, world: World, clients: readonly Client[]): Promise<void> {
  const { network, logs } = world
  switch (step.do) {
    case 'publish':
      await world.publish(channels[step.channel] as string, step.process)
      break
    case 'connect':
      void clients[step.client]?.connect(step.process)
      break
    case 'cut':
      clients[step.client]?.sink?.cut(step.share)
      break
    case 'stall': {
      const { sink } = clients[step.client] as Client
      if (sink !== undefined) sink.stalled = true
      break
    }
    case 'drain':
      clients[step.client]?.sink?.drain()
      break
    case 'pass':
      for (let i = 0; i < step.times && network.waiting.length > 0; i++) {
        network.waiting.splice(step.which % network.waiting.length, 1)[0]?.()
        await settlePromises()
      }
      break
    case 'check':
      void logs[step.process]?.check().catch(() => undefined)
      break
    case 'turn':
      await turn()
      break
    case 'fail':
      network.failReads += 1
      break
    case 'save':
      world.save()
      break
    case 'replace':
      world.replace()
      break
    case 'goBack':
      if (world.calm !== 'none') await settle(world)
      world.goBack(step.which)
      if (world.calm !== 'full') break
      for (const log of logs) void log.check()
      await settle(world)
      break
  }
  await settlePromises()
}

/** All that is on its way arrives, and what comes of it is written. */
async function settle({ network }: World): Promise<void> {
  for (let quiet = 0; quiet < 4; quiet++) {
    if (network.waiting.length > 0) quiet = 0
    for (const deliver of network.waiting.splice(0)) deliver()
    await settlePromises()
    await turn()
  }
}

/** Everybody comes back, and all that is on its way arrives. */
async function heal({ network, logs }: World, clients: readonly Client[]): Promise<void> {
  network.nextFate = () => 'arrives'
  network.failReads = 0
  let quiet = 0
  for (let round = 0; round < 200; round++) {
    for (const client of clients) {
      if (client.connected) client.sink?.drain()
      else void client.connect()
    }
    for (const deliver of network.waiting.splice(0)) deliver()
    if (round % 8 === 0) for (const log of logs) void log.check().catch(() => undefined)
    await settlePromises()
    await turn()
    const isQuiet = network.waiting.length === 0 && clients.every((client) => client.connected)
    // What arrived last is looked at once more.
    quiet = isQuiet ? quiet + 1 : 0
    if (quiet > 16) return
  }
}

async function live(life: readonly Step[], fate: fc.Stream<Fate>, calm: Calm, seen: Seen) {
  const world = new World(maxEvents, calm)
  const clients = sets.map((set) => new Client(world, set))
  await heal(world, clients)
  world.network.nextFate = () => fate.next().value as Fate
  for (const step of life) await take(step, world, clients)
  await heal(world, clients)
  const broken = [...world.faults, ...world.unmarked()]
  for (const client of clients) broken.push(...client.faults, ...client.unsettled())
  for (const client of clients) {
    seen.events += client.events
    seen.resets += client.resets
    client.sink?.cut(0)
  }
  seen.lives += 1
  seen.losses += world.losses.length
  await settlePromises()
  expect({ broken, left: world.left() }).toEqual({
    broken: [],
    left: { connections: 0, channels: 0, followers: 0 },
  })
}

describe('a log that goes back to what it was', () => {
  test.each([
    ['once, where all notice before anything else happens', 'full'],
    ['twice at most, though some notice later than others append', 'some'],
    ['twice at most, whatever is on its way', 'none'],
  ] as const)(
    'tells each reader of what was lost, %s',
    async (_what, calm) => {
      const seen = { lives: 0, events: 0, resets: 0, losses: 0 }
      await fc.assert(
        fc.asyncProperty(steps, fates, (life, fate) => live(life, fate, calm, seen)),
        { numRuns, interruptAfterTimeLimit: 90_000 },
      )
      // The property says nothing unless enough was lost.
      expect(seen.losses).toBeGreaterThan(seen.lives)
      expect(seen.resets).toBeGreaterThan(seen.losses)
    },
    180_000,
  )
})
