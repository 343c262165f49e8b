import { setTimeout as delay } from 'node:timers/promises'
import { EventStreamError } from 'headwater'
import type { Resilience } from 'headwater/resilience'
import type { Jobs } from './jobs.js'

/** How a worker ends that does not say so: in the middle of its work, or when nothing but that is left to do. */
export const deaths = ['in its work', 'after its work'] as const

/** What has come of an export. */
export interface ExportResult {
  readonly rows: number
  readonly bytes: number
}

const rows = 120

/** Milliseconds that a row takes. */
const rowMs = Number(process.env.ROW_MS || 100)

/** Writes exports, a row at a time, and says in their streams how far it is. */
export class ExportWorker {
  readonly #jobs: Jobs
  readonly #send: Resilience['sendStreamEvent']
  readonly #name: string | undefined
  readonly #stopping = new AbortController()
  readonly #working = new Set<Promise<void>>()

  /** @param name - The process that works, where there are several. */
  constructor(jobs: Jobs, send: Resilience['sendStreamEvent'], name: string | undefined) {
    this.#jobs = jobs
    this.#send = send
    this.#name = name
  }

  /** @param id - Of a stream that is registered. */
  start(id: string): void {
    const work = this.#work(id)
      .catch((error) => this.#give(id, error))
      .finally(() => this.#working.delete(work))
    this.#working.add(work)
  }

  /** Leaves what is not finished, and says so. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await Promise.all(this.#working)
  }

  async #work(id: string): Promise<void> {
    const { signal } = this.#stopping
    const lines = ['day,level_m']
    for (let row = 1; row <= rows; row++) {
      await delay(rowMs, undefined, { signal })
      // Nobody is told, as nobody is when a process is killed.
      if ((await this.#jobs.get(id, 'death')) === 'in its work') return
      lines.push(`${row},${(2 + Math.sin(row / 9)).toFixed(2)}`)
      await this.#send(id, 'progress', { row, rows, by: this.#name })
    }
    // First where it lasts, then to those who wait for it: who dies in between has lost nothing.
    const csv = `${lines.join('\n')}\n`
    await this.#jobs.set(id, 'csv', csv)
    if ((await this.#jobs.get(id, 'death')) === 'after its work') return
    await this.#send(id, 'done', resultOf(csv), true)
  }

  async #give(id: string, error: unknown): Promise<void> {
    // It was taken for dead, so nobody waits for it any more.
    if (error instanceof EventStreamError && error.code === 'ERR_STREAM_ENDED') return
    if (!this.#stopping.signal.aborted) {
      // Whatever it is, the guardian finds that nothing comes any more.
      console.error(error)
      return
    }
    await this.#send(id, 'stopped', { reason: 'The server was shut down.' }, 'aborted').catch(
      console.error,
    )
  }
}

export function resultOf(csv: string): ExportResult {
  return { rows, bytes: Buffer.byteLength(csv) }
}
