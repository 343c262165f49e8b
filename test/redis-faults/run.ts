import type { EventLog } from '../../src/index.js'
import { Journal } from '../support/journal.js'
import { type Kept, Ledger } from '../support/ledger.js'
import { seqOf } from '../support/position.js'
import { newTally, ResumingClient } from '../support/resuming-client.js'
import { AppProcess, type Source } from './app-process.js'
import { idsOf, openLog } from './own-log.js'

export interface Scenario {
  readonly source: Source
  /** One fault, and its end. */
  readonly strike: (run: Run) => Promise<unknown>
  /** Milliseconds between two faults: any from 50 % less to 50 % more. By default 700. */
  readonly pauseMs?: number
  readonly logOptions?: object
  /** Of the app processes; two of different packages by default. */
  readonly drivers?: readonly ('ioredis' | 'redis')[]
  readonly padding?: number
  /** Milliseconds that a client is away at most. By default 100. */
  readonly awayMs?: number
  /** Events that a client may be behind before its channels are slowed down. By default 10,000. */
  readonly maxLag?: number
  /** What is acknowledged must be in the log in the end. */
  readonly isDurable?: boolean
  /** A server takes over that has not got the end. */
  readonly mayForget?: boolean
  readonly flaw?: 'drop' | 'repeat' | 'swap' | 'hush'
}

export interface Report {
  published: number
  acknowledged: number
  rejected: Record<string, number>
  delivered: number
  reconnects: number
  lost: number
  duplicated: number
  reordered: number
  resets: number
  /** Acknowledged events that are not in the log in the end. */
  missing: number
  /** The same, where that may be. */
  forgotten: number
  /** Such events, once for each client that neither got them nor was told. */
  untold: number
  strikes: number
  endedByServer: number
  /** The most lines on stderr of one process. */
  warnings: number
  /** Lines on stderr that are no warning of the log. */
  otherLines: readonly string[]
  exitCodes: readonly (number | null)[]
}

const channels = ['a', 'b', 'c', 'd', 'e', 'f']
const clientCount = 50
const inFlight = 64
const msPerCut = 10

/** More than any run publishes, so that no reset is due. */
const unlimited = { maxEvents: 10_000_000, maxBytes: 2_000_000_000, maxAgeMs: 3_600_000 }

const delay = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
const around = (ms: number) => ms * (0.5 + Math.random())

function pick<Item>(items: readonly Item[]): Item {
  return items[Math.floor(Math.random() * items.length)] as Item
}

async function keptIn(log: EventLog): Promise<Kept> {
  const kept = new Map<string, ReadonlySet<string>>()
  for (const channel of channels) kept.set(channel, await idsOf(log, channel))
  return kept
}

/** Application processes that publish, and clients that are cut off all the time. */
export class Run {
  readonly #scenario: Scenario
  readonly #journal = new Journal()
  readonly #tally = newTally()
  readonly #apps: AppProcess[] = []
  readonly #ended: AppProcess[] = []
  readonly #clients: ResumingClient[]
  readonly #heads = new Map<string, number>()
  readonly #rejected: Record<string, number> = {}
  #timers: NodeJS.Timeout[] = []
  #published = 0
  #producers = 0
  #strikes = 0
  #startedAt = 0
  #cuts = 0

  constructor(scenario: Scenario) {
    this.#scenario = scenario
    this.#clients = Array.from({ length: clientCount }, (_, i) => {
      const own = channels.filter((_name, c) => c === i % 6 || (i % 2 === 1 && c === (i >> 1) % 6))
      const ledger = new Ledger(own, this.#journal)
      return new ResumingClient(ledger, () => pick(this.#apps), this.#tally)
    })
  }

  get apps(): readonly AppProcess[] {
    return this.#apps
  }

  async start(): Promise<void> {
    const { drivers = ['ioredis', 'redis'] } = this.#scenario
    for (const driver of drivers) this.#apps.push(await this.#startApp(driver))
    for (const client of this.#clients) client.connect()
    await this.#until('all clients are connected', 10_000, async () =>
      this.#clients.every(({ isOpen }) => isOpen),
    )
    for (const app of this.#apps) app.send('start')
    this.#startedAt = performance.now()
    this.#timers = [
      setInterval(() => this.#cutSome(), msPerCut),
      setInterval(() => this.#slowDown(), 20),
    ]
  }

  async strikeFor(ms: number): Promise<void> {
    const { strike, pauseMs = 700 } = this.#scenario
    const until = performance.now() + ms
    await delay(around(pauseMs))
    while (performance.now() < until) {
      this.#strikes += 1
      await strike(this)
      this.check()
      await delay(around(pauseMs))
    }
  }

  /** Kills one of the app processes, and starts another in its place. */
  async replaceApp(): Promise<void> {
    const { drivers = ['ioredis', 'redis'] } = this.#scenario
    const app = this.#apps.shift() as AppProcess
    this.#ended.push(app)
    await app.kill()
    const next = await this.#startApp(drivers[this.#producers % drivers.length] ?? 'ioredis')
    this.#apps.push(next)
    next.send('start')
  }

  /** @throws Error when something has failed that never may. */
  check(): void {
    for (const app of this.#apps) app.checkAlive()
    const { error } = this.#clients.find((client) => client.error !== undefined) ?? {}
    if (error !== undefined) throw error
  }

  /** Nothing fails any more: all that is published gets to everybody. */
  async finish(): Promise<Report> {
    for (const timer of this.#timers) clearInterval(timer)
    await Promise.all(this.#apps.map((app) => app.order('finish')))
    await (this.#apps[0] as AppProcess).order('mark')
    const log = openLog(this.#scenario.source, unlimited)
    try {
      const heads = await this.#settle(log)
      this.check()
      for (const client of this.#clients) client.stop()
      const { isDurable, mayForget } = this.#scenario
      return await this.#report(heads, isDurable || mayForget ? await keptIn(log) : undefined)
    } finally {
      await log.close()
    }
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    for (const client of this.#clients) client.stop()
    for (const app of this.#apps) await app.kill()
  }

  async #startApp(driver: 'ioredis' | 'redis'): Promise<AppProcess> {
    const { source, logOptions, flaw, padding = 0 } = this.#scenario
    this.#producers += 1
    const producer = `p${this.#producers}`
    const options = { ...unlimited, ...logOptions }
    return AppProcess.start(
      { producer, channels, source, driver, logOptions: options, inFlight, padding, flaw },
      ({ published, acknowledged, rejected }) => {
        this.#published += published
        this.#journal.acknowledge(acknowledged)
        for (const { channel, id } of acknowledged) this.#heads.set(channel, seqOf(id))
        for (const [code, count] of Object.entries(rejected)) {
          this.#rejected[code] = (this.#rejected[code] ?? 0) + count
        }
      },
    )
  }

  /** As many as are due, since under this load no timer is on time. */
  #cutSome(): void {
    const due = (performance.now() - this.#startedAt) / msPerCut
    for (; this.#cuts < due; this.#cuts++) {
      pick(this.#clients).cut(Math.random() * (this.#scenario.awayMs ?? 100))
    }
  }

  #slowDown(): void {
    const { maxLag = 10_000 } = this.#scenario
    const slow = channels.filter((channel) => {
      const positions = this.#clients.map(({ ledger }) => ledger.seqAt(channel))
      return (this.#heads.get(channel) ?? 0) - Math.min(...positions) > maxLag
    })
    for (const app of this.#apps) app.send('pause', slow)
  }

  /** @returns The heads, once all clients are there, or it is too late. */
  async #settle(log: EventLog): Promise<ReadonlyMap<string, string>> {
    const deadline = performance.now() + 30_000
    for (;;) {
      const ids = await log.heads(channels)
      const heads = new Map(channels.map((channel, i) => [channel, ids[i] as string]))
      const areThere = this.#clients.every(({ ledger }) => ledger.isAt(heads))
      if (areThere || performance.now() > deadline) return heads
      await delay(50)
    }
  }

  async #report(heads: ReadonlyMap<string, string>, ids: Kept | undefined): Promise<Report> {
    const { acknowledged, forks, repeated, swaps } = this.#journal
    const { mayForget = false } = this.#scenario
    const kept = mayForget ? ids : undefined
    const missing =
      ids === undefined
        ? 0
        : acknowledged.filter(({ channel, id }) => !ids.get(channel)?.has(id)).length
    const ledgers = this.#clients.map(({ ledger }) => ledger)
    const sum = (of: (ledger: Ledger) => number) => ledgers.reduce((n, it) => n + of(it), 0)
    const exitCodes = await Promise.all(this.#apps.map((app) => app.exit()))
    const apps = [...this.#ended, ...this.#apps]
    const isWarning = (line: string) => line.includes('EventStreamWarning')
    return {
      published: this.#published,
      acknowledged: acknowledged.length,
      rejected: this.#rejected,
      delivered: sum(({ delivered }) => delivered),
      reconnects: this.#tally.reconnects,
      lost: forks + sum((ledger) => ledger.lost(heads, kept)),
      duplicated: repeated + sum(({ duplicated }) => duplicated),
      reordered: swaps + sum(({ reordered }) => reordered),
      resets: sum(({ resets }) => resets.length),
      missing: mayForget ? 0 : missing,
      forgotten: mayForget ? missing : 0,
      untold: kept === undefined ? 0 : sum((ledger) => ledger.untold(kept)),
      strikes: this.#strikes,
      endedByServer: this.#tally.endedByServer,
      warnings: Math.max(...apps.map(({ lines }) => lines.filter(isWarning).length)),
      otherLines: apps.flatMap(({ lines }) => lines.filter((line) => !isWarning(line))),
      exitCodes,
    }
  }

  async #until(what: string, ms: number, isSo: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + ms
    while (!(await isSo())) {
      this.check()
      if (performance.now() > deadline) throw new Error(`Not so after ${ms} ms: ${what}.`)
      await delay(20)
    }
  }
}
