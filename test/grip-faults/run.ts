import { afterEach } from '@jest/globals'
import type { EventLog, EventStream } from '../../src/index.js'
import { EventStreamError } from '../../src/index.js'
import type { News } from '../redis-faults/app-process.js'
import { Journal } from '../support/journal.js'
import { Ledger } from '../support/ledger.js'
import { newTally, type Place, ResumingClient } from '../support/resuming-client.js'
import { until } from '../support/until.js'

/** How long events are published, in seconds. */
export const seconds = Number(process.env.FAULT_SECONDS ?? 3)

/** Whether there is time for what takes long. */
export const isLong = seconds >= 20

/** Milliseconds that clients are told to wait before they come back. */
export const retryMs = 100

/** What clients wait for a sign of life, as ours does: keep-alives come every 15 seconds, while the application is there. */
const silenceMs = 45_000

/** More than any run publishes, so that no reset is due. */
export const unlimited = { maxEvents: 10_000_000, maxBytes: 2_000_000_000, maxAgeMs: 3_600_000 }

/** New connections at once: beyond 100, Pushpin 1.36 answers 502 to some. */
const groupSize = 50

/** Where nothing listens. */
const nowhere = 'http://127.0.0.1:1'

const settleTimeoutMs = 75_000

/** What came of a scenario. */
export interface Report {
  readonly clients: number
  readonly published: number
  /** In the log, and the proxy was not told. */
  readonly partial: number
  readonly delivered: number
  readonly lost: number
  readonly duplicated: number
  readonly reordered: number
  readonly resets: number
  readonly reconnects: number
  readonly endedByServer: number
  /** Streams that ended before they were open: Pushpin 1.36 does so to one of many at times. */
  readonly sentAway: number
  readonly refused: number
  readonly silences: number
  readonly links: number
  /** Milliseconds from when the last event was published until all clients had all. */
  readonly settledMs: number
}

type Publisher = Pick<EventStream, 'publishEvent'>

const runs = new Set<GripRun>()

afterEach(() => {
  for (const run of runs) run.stop()
  runs.clear()
})

/** Clients of a proxy, until the end of the test, and what is published to them. */
export class GripRun {
  readonly journal = new Journal()
  readonly tally = newTally()
  readonly clients: ResumingClient[] = []
  published = 0
  partial = 0
  /** Requests by which the proxy asked for what clients missed. */
  links = 0
  /** Where clients connect. */
  place: Place & { isKilled: boolean }
  readonly #url: string
  #isStopped = false
  #publishing: Promise<unknown>[] = []
  #lastPublishedAt = performance.now()

  constructor(url: string) {
    this.#url = url
    this.place = { url, isKilled: false }
    runs.add(this)
  }

  /**
   * The proxy is about to be killed. Nobody is let in until it passes on requests again, as by a load
   * balancer: Pushpin 1.36 never answers some that come while it starts, and their clients wait forever.
   */
  kill(): void {
    this.place.isKilled = true
    this.place = { url: nowhere, isKilled: true }
  }

  /** It is there again. */
  revive(): void {
    this.place = { url: this.#url, isKilled: false }
  }

  /** Adds so many clients to each set of channels. */
  async connect(count: number, ...sets: readonly (readonly string[])[]): Promise<void> {
    const added = sets.flatMap((channels) =>
      Array.from({ length: count }, () => this.#add(channels)),
    )
    for (let i = 0; i < added.length; i += groupSize) {
      const group = added.slice(i, i + groupSize)
      for (const client of group) client.connect()
      await this.until('clients are connected', () => group.every(({ isOpen }) => isOpen))
    }
  }

  /**
   * Publishes one event, and keeps what becomes of it.
   *
   * @returns Once that is known. What is not awaited here, `acknowledged` waits for.
   */
  publish(eventStream: Publisher, producer: string, channel: string): Promise<void> {
    this.published += 1
    const n = this.published
    this.#lastPublishedAt = performance.now()
    const publishing = this.#publish(eventStream, producer, channel, n)
    this.#publishing.push(publishing)
    return publishing
  }

  /**
   * Publishes at a steady rate, as many as are due, to one channel after the other.
   *
   * @param until - For so many milliseconds, or until it aborts.
   */
  async publishSteadily(
    until: number | AbortSignal,
    perSecond: number,
    publishers: Readonly<Record<string, Publisher>>,
    channels: readonly string[],
  ): Promise<void> {
    const startedAt = performance.now()
    const all = Object.entries(publishers)
    const ms = typeof until === 'number' ? until : Number.POSITIVE_INFINITY
    const isAborted = () => this.#isStopped || (typeof until !== 'number' && until.aborted)
    let count = 0
    for (;;) {
      const now = performance.now() - startedAt
      for (; count < (Math.min(now, ms) * perSecond) / 1000; count++) {
        const [name, eventStream] = all[count % all.length] as [string, Publisher]
        void this.publish(eventStream, name, channels[count % channels.length] as string)
      }
      this.check()
      if (now >= ms || isAborted()) return
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  /** Cuts off the client at this part of all of them, as its network would. */
  cutOne(part: number): void {
    this.clients[Math.floor(part * this.clients.length)]?.cut()
  }

  /** What an app process publishes. */
  readonly hear = ({ published, acknowledged, partial, links }: News): void => {
    this.published += published
    this.partial += partial
    this.links += links
    this.journal.acknowledge(acknowledged)
    if (published > 0) this.#lastPublishedAt = performance.now()
  }

  /** Waits until all that was published is in the log. */
  async acknowledged(): Promise<void> {
    while (this.#publishing.length > 0) await Promise.all(this.#publishing.splice(0))
  }

  /** @throws Error when something has failed that never may. */
  check(): void {
    const { error } = this.clients.find((client) => client.error !== undefined) ?? {}
    if (error !== undefined) throw error
  }

  async until(what: string, isSo: () => boolean | Promise<boolean>, ms = 30_000): Promise<void> {
    await until(() => {
      this.check()
      return isSo()
    }, ms).catch((error) => {
      throw new Error(`Not so: ${what}.`, { cause: error })
    })
  }

  /** Whether every client has all that is in the log. */
  async isSettled(log: EventLog): Promise<boolean> {
    const heads = await this.heads(log)
    return this.clients.every(({ ledger }) => ledger.isAt(heads))
  }

  /**
   * Waits until so many events were published, and every client has all.
   *
   * @returns Milliseconds since the last of them.
   */
  async settled(log: EventLog, count: number): Promise<number> {
    await this.until('all are published', () => this.published === count)
    await this.acknowledged()
    await this.until('all have all', () => this.isSettled(log))
    return Math.round(performance.now() - this.#lastPublishedAt)
  }

  /** Waits until every client has all, or it is too late, and counts what came of it. */
  async finish(log: EventLog, timeoutMs = settleTimeoutMs): Promise<Report> {
    await this.acknowledged()
    const heads = await this.heads(log)
    const isThere = () => this.clients.every(({ ledger }) => ledger.isAt(heads))
    const deadline = performance.now() + timeoutMs
    await this.until(
      'all have all',
      () => isThere() || performance.now() > deadline,
      timeoutMs + 10_000,
    )
    const settledMs = Math.round(performance.now() - this.#lastPublishedAt)
    this.stop()
    return this.#report(heads, settledMs)
  }

  /** The last id of each channel that clients listen to. */
  async heads(log: EventLog): Promise<ReadonlyMap<string, string>> {
    const channels = [...new Set(this.clients.flatMap(({ ledger }) => ledger.channels))]
    const ids = await log.heads(channels)
    return new Map(channels.map((channel, i) => [channel, ids[i] as string]))
  }

  stop(): void {
    this.#isStopped = true
    for (const client of this.clients) client.stop()
  }

  #add(channels: readonly string[]): ResumingClient {
    const ledger = new Ledger(channels, this.journal)
    const options = { heedsRetry: true, silenceMs }
    const client = new ResumingClient(ledger, () => this.place, this.tally, options)
    this.clients.push(client)
    return client
  }

  async #publish(eventStream: Publisher, producer: string, channel: string, n: number) {
    const sentAt = Date.now()
    const id = await this.#idOf(eventStream.publishEvent(channel, { data: [channel, producer, n] }))
    this.journal.acknowledge([{ producer, n, channel, id, sentAt, ackedAt: Date.now() }])
  }

  async #idOf(published: Promise<{ readonly id: string }>): Promise<string> {
    try {
      return (await published).id
    } catch (error) {
      const [first] = (error instanceof EventStreamError && error.published) || []
      if (first === undefined) throw error
      this.partial += 1
      return first.id
    }
  }

  #report(heads: ReadonlyMap<string, string>, settledMs: number): Report {
    const { published, partial, links, journal, tally } = this
    const ledgers = this.clients.map(({ ledger }) => ledger)
    const sum = (of: (ledger: Ledger) => number) => ledgers.reduce((n, it) => n + of(it), 0)
    return {
      clients: ledgers.length,
      published,
      partial,
      delivered: sum(({ delivered }) => delivered),
      lost: journal.forks + sum((ledger) => ledger.lost(heads)),
      duplicated: journal.repeated + sum(({ duplicated }) => duplicated),
      reordered: journal.swaps + sum(({ reordered }) => reordered),
      resets: sum(({ resets }) => resets.length),
      reconnects: tally.reconnects,
      endedByServer: tally.endedByServer,
      sentAway: tally.sentAway,
      refused: tally.refused,
      silences: tally.silences,
      links,
      settledMs,
    }
  }
}
