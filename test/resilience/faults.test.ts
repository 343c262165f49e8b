import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { afterAll, afterEach, beforeAll, expect, jest, test } from '@jest/globals'
import express from 'express'
import { EventStream } from '../../src/index.js'
import { type GuardianOptions, type RegisteredStream, resilience } from '../../src/resilience.js'
import { describeWithPostgres } from '../support/describe-with-postgres.js'
import { describeWithRedis } from '../support/describe-with-redis.js'
import { expireStream, keptForMs } from '../support/kept-stream.js'
import { startServer } from '../support/server.js'
import { spawnTypeScriptIn } from '../support/spawn-typescript.js'
import { connect } from '../support/sse-client.js'
import { openLog, type StoreName, type StreamStore, startStore } from '../support/stream-stores.js'
import { until } from '../support/until.js'
import { wrongClock } from '../support/wrong-clock.js'

const registry = { heartbeatMs: 200, lifetimeMs: 120_000, orphanAfterMs: 60_000 }

/** What every process has: `parts`, as this one, and `say`. */
const common = `
  import { createServer } from 'node:http'
  import { EventStream } from '../../src/index.js'
  import { resilience } from '../../src/resilience.js'
  import { openLog } from './stream-stores.js'
  const [, name, url, ...args] = process.argv
  const log = openLog(name, url)
  const registry = ${JSON.stringify(registry)}
  // Ends are kept for longer all the same.
  const streams = { maxAgeMs: 1000 }
  const eventStream = new EventStream({ log, registry, streams, onError: () => undefined })
  const say = (what, value) => console.log(what + ' ' + JSON.stringify(value ?? null))
`

/** Serves a tracked route, and runs a tracked stream. */
const worker = `${common}
  const [id] = args
  async function* ticks({ signal }) {
    signal.addEventListener('abort', () => say('aborted', signal.reason.message))
    for (let n = 1; ; n++) {
      yield { event: 'tick', data: n }
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  const route = eventStream('news', { track: { type: 'page', user: 'ann' } })
  const server = createServer((req, res) => route(req, res)).listen(0, '127.0.0.1')
  server.on('listening', async () => {
    await eventStream.streams.create(id, ticks, { track: { type: 'export', user: 'ann' } })
    say('port', server.address().port)
  })
`

/** Looks after streams, from a time on, and prints what it asks and ends. */
const guardianProcess = `${common}
  const [from, check] = args
  const { guardian } = resilience(eventStream, {
    intervalMs: 50,
    thresholdMs: 600,
    checkTimeoutMs: 1500,
    checkJobCompletion: ({ streamId }) => {
      say('asked', streamId)
      return check === 'hang' ? new Promise(() => undefined) : undefined
    },
  })
  guardian.on('orphaned', ({ streamId }) => say('orphaned', streamId))
  guardian.on('health', (health) => say('health', health))
  setTimeout(() => guardian.start(), from - performance.timeOrigin - performance.now())
  say('ready')
`

/** Says of all that is registered what it finds. */
const looker = `${common}
  const { registry: known } = resilience(eventStream)
  async function look() {
    await known.register({ streamId: args[0], userId: 'clocks' })
    for (;;) {
      await known.heartbeat(args[0])
      say('look', {
        now: Date.now(),
        own: await known.getStream(args[0]),
        stale: await known.getStaleStreams(2),
        active: await known.getActiveCount(2),
        mine: (await known.getUserStreams('clocks')).length,
      })
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
  look()
`

describeWithRedis('registered streams in Redis', () => faults('redis'))
describeWithPostgres('registered streams in Postgres', () => faults('postgres'))

function faults(name: StoreName): void {
  let store: StreamStore
  const children: ReturnType<typeof spawnTypeScriptIn>[] = []
  const opened: (() => Promise<unknown>)[] = []

  beforeAll(async () => {
    jest.setTimeout(60_000)
    store = await startStore(name)
  })

  afterAll(() => store.stop())

  afterEach(async () => {
    for (const child of children.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    for (const close of opened.splice(0)) await close()
  })

  /** One more process, as far as the store can tell. */
  const join = (options: GuardianOptions = {}) => {
    const log = openLog(name, store.url)
    const eventStream = new EventStream({ log, registry, onError: () => undefined })
    // What could not be settled, as a store was slow, is held for little more than the time of a check.
    const often = { intervalMs: 100, thresholdMs: 600, checkTimeoutMs: 1000 }
    const parts = resilience(eventStream, { ...often, ...options })
    opened.push(async () => {
      await parts.guardian.stop()
      await eventStream.close({ graceMs: 0 })
      await log.close()
    })
    return { ...parts, eventStream, log }
  }

  const spawn = (script: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) => {
    const child = spawnTypeScriptIn(env, script, name, store.url, ...args)
    children.push(child)
    const said: (readonly [what: string, value: unknown])[] = []
    createInterface(child.stdout).on('line', (line) => {
      const [what = '', ...rest] = line.split(' ')
      said.push([what, JSON.parse(rest.join(' '))])
    })
    const of = <T>(what: string) =>
      said.filter(([name]) => name === what).map(([, value]) => value as T)
    const first = async <T>(what: string) => {
      await until(() => of(what).length > 0, 20_000)
      return of<T>(what)[0] as T
    }
    return { child, of, first }
  }

  test('end as their guardian finds out when their process is killed, and followers are told', async () => {
    const { child, first } = spawn(worker, ['export-1'])
    const port = await first<number>('port')
    const client = await (await connect(`http://127.0.0.1:${port}/`)).opened()
    const asked: RegisteredStream[] = []
    const { registry, guardian, eventStream, completions } = join({
      checkJobCompletion: (stream) => {
        asked.push(stream)
        return stream.kind === 'stream' ? { state: 'completed', result: { rows: 7 } } : undefined
      },
    })
    const reader = (await eventStream.streams.read('export-1')).getReader()
    await until(async () => (await registry.getUserStreams('ann')).length === 2)
    guardian.start()
    await reader.read()
    expect(await registry.getActiveCount(0.6)).toBe(2)
    child.kill('SIGKILL')
    for (;;) if ((await reader.read()).done) break
    expect(await completions.getCompletion('export-1')).toMatchObject({
      state: 'completed',
      result: { rows: 7 },
    })
    await until(async () => (await registry.getActiveCount(0.6)) === 0)
    await until(async () => {
      const states = (await registry.getUserStreams('ann')).map(({ state }) => state)
      return `${states.sort()}` === 'completed,orphaned'
    })
    expect(asked.map(({ streamType }) => streamType).sort()).toEqual(['export', 'page'])
    client.destroy()
  })

  test('do not count a moment after their process was killed, with no guardian at all', async () => {
    const { child, first } = spawn(worker, ['export-2'])
    await first('port')
    const { registry } = join()
    await until(async () => (await registry.getActiveCount(0.6)) === 1)
    child.kill('SIGKILL')
    await until(async () => (await registry.getActiveCount(0.6)) === 0)
    const [stale] = await registry.getStaleStreams(0.6)
    expect(stale).toMatchObject({ streamId: 'export-2', state: 'active' })
    await registry.updateState('export-2', 'orphaned')
  })

  test('are ended once by three guardians in three processes', async () => {
    const { registry } = join()
    const ids = Array.from({ length: 60 }, (_, i) => `thrice-${i}`)
    await Promise.all(ids.map((streamId) => registry.register({ streamId })))
    const from = String(Date.now() + 3000)
    const guardians = [1, 2, 3].map(() => spawn(guardianProcess, [from, 'answer']))
    await Promise.all(guardians.map(({ first }) => first('ready')))
    const all = (what: string) => guardians.flatMap(({ of }) => of<string>(what))
    await until(() => all('orphaned').length >= ids.length, 20_000)
    await Promise.all(guardians.map(({ first }) => first('health')))
    expect(all('asked').sort()).toEqual([...ids].sort())
    expect(all('orphaned').sort()).toEqual([...ids].sort())
  })

  test('are ended by another guardian when the one that asked was killed', async () => {
    const { registry, guardian } = join()
    await registry.register({ streamId: 'twice' })
    const { child, first } = spawn(guardianProcess, [String(Date.now()), 'hang'])
    expect(await first('asked')).toBe('twice')
    child.kill('SIGKILL')
    guardian.start()
    await until(async () => (await registry.getStream('twice'))?.state === 'orphaned', 20_000)
  })

  test('heal when they are heard of before the threshold', async () => {
    const { child, first, of } = spawn(worker, ['export-3'])
    await first('port')
    const { registry, guardian } = join({ thresholdMs: 20_000 })
    guardian.start()
    await until(async () => (await registry.getActiveCount(1)) === 1)
    child.kill('SIGSTOP')
    await until(async () => (await registry.getStaleStreams(1)).length === 1)
    child.kill('SIGCONT')
    await until(async () => (await registry.getActiveCount(1)) === 1)
    expect((await registry.getStream('export-3'))?.state).toBe('active')
    expect(of('aborted')).toEqual([])
    await registry.updateState('export-3', 'aborted')
  })

  test('stay ended when their process comes back too late, and it is told', async () => {
    const { child, first } = spawn(worker, ['export-4'])
    await first('port')
    const { registry, guardian } = join()
    await until(async () => (await registry.getActiveCount(0.6)) === 1)
    child.kill('SIGSTOP')
    guardian.start()
    await until(async () => (await registry.getStream('export-4'))?.state === 'orphaned')
    child.kill('SIGCONT')
    expect(await first('aborted')).toMatch(/is orphaned/)
    expect((await registry.getStream('export-4'))?.state).toBe('orphaned')
    // `getStream` asks the log, which knows a moment before the registry.
    await until(async () => (await registry.getActiveCount()) === 0)
  })

  test('live on when it was the store that was away, for longer than they may be silent', async () => {
    const { first, of } = spawn(worker, ['export-6'])
    await first('port')
    const { registry, guardian } = join({ thresholdMs: 4000 })
    await registry.register({ streamId: 'job-6' })
    const beating = setInterval(() => registry.heartbeat('job-6').catch(() => undefined), 1000)
    opened.push(async () => clearInterval(beating))
    const ended: string[] = []
    guardian.on('orphaned', ({ streamId }) => ended.push(streamId))
    guardian.start()
    await until(async () => (await registry.getActiveCount(4)) === 2)
    await store.restart(5000)
    await until(async () => (await registry.getActiveCount(4).catch(() => 0)) === 2)
    expect([ended, of('aborted')]).toEqual([[], []])
    for (const id of ['export-6', 'job-6']) await registry.updateState(id, 'aborted')
  })

  test('can be recovered by a client that was away, for five minutes and not for ever', async () => {
    const {
      eventStream,
      registry: streams,
      guardian,
      recoveryHandler,
    } = join({
      checkJobCompletion: () => ({ state: 'completed', result: 42 }),
    })
    const { child, first } = spawn(worker, ['export-5'])
    await first('port')
    const reader = (await eventStream.streams.read('export-5')).getReader()
    const { value: seen } = await reader.read()
    await reader.cancel()
    // The log has it first: one whose process dies in the same moment is on no list.
    await until(async () => (await streams.getStream('export-5'))?.state === 'active')
    child.kill('SIGKILL')
    guardian.start()
    await until(async () => (await streams.getStream('export-5'))?.state === 'completed')
    const app = express()
    app.get('/:streamId', recoveryHandler({ user: ({ headers }) => `${headers['x-user']}` }))
    const { url } = await startServer(app)
    const recover = (user: string) => {
      const headers = { 'x-user': user, 'last-event-id': seen?.id ?? '' }
      return fetch(`${url}/export-5`, { headers })
    }
    const { status, result, events, isReset } = (await (await recover('ann')).json()) as {
      [name: string]: unknown
      events: { data: number }[]
    }
    expect({ status, result, isReset }).toEqual({ status: 'completed', result: 42, isReset: false })
    expect(events.map(({ data }) => data)).toEqual(events.map((_event, i) => i + 2))
    expect((await recover('bob')).status).toBe(403)
    const keptMs = await keptForMs(store, 'export-5')
    expect(keptMs).toBeGreaterThan(200_000)
    expect(keptMs).toBeLessThanOrEqual(300_000)
    await expireStream(store, 'export-5')
    expect((await recover('ann')).status).toBe(410)
    expect((await recover('bob')).status).toBe(403)
  })

  test('are the same to processes whose clocks are a minute apart', async () => {
    const clocks = ['+60s', '-60s']
    const processes = clocks.map((clock) => spawn(looker, [`clock${clock}`], wrongClock(clock)))
    interface Look {
      readonly now: number
      readonly own: { readonly startedAt: string; readonly lastHeartbeat: string }
      readonly stale: readonly unknown[]
      readonly active: number
      readonly mine: number
    }
    const { registry, guardian } = join({ thresholdMs: 5000 })
    guardian.start()
    const since = Date.now()
    const looks = () => processes.map(({ of }) => of<Look>('look'))
    await until(() => looks().every((list) => list.length > 20), 30_000)
    await until(() => looks().every((list) => list.at(-1)?.active === 2), 10_000)
    for (const [i, list] of looks().entries()) {
      const last = list.at(-1) as Look
      expect(Math.sign(last.now - Date.now())).toBe(i === 0 ? 1 : -1)
      expect(Math.abs(last.now - Date.now())).toBeGreaterThan(50_000)
      for (const time of [last.own.startedAt, last.own.lastHeartbeat]) {
        expect(Date.parse(time)).toBeGreaterThan(since - 10_000)
        expect(Date.parse(time)).toBeLessThan(Date.now() + 10_000)
      }
      expect(last.mine).toBe(2)
      expect(list.slice(-5).flatMap(({ stale }) => stale)).toEqual([])
    }
    for (const clock of clocks) {
      expect((await registry.getStream(`clock${clock}`))?.state).toBe('active')
    }
  })
}
