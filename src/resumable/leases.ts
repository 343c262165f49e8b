import { inBackground } from '../background.js'
import type { Lease, StreamLog } from '../log/stream-log.js'
import type { Producer } from './producer.js'

/** What leases need of the streams of this process. */
export interface LeaseHost {
  readonly log: StreamLog
  /** The shortest of a lease. */
  readonly leaseMs: number
  producers(): readonly Producer[]
  onError(error: unknown): void
}

/** Leases of one call. */
const batch = 1000

/** Keeps the leases of all streams that this process produces, by one timer. */
export class Leases {
  readonly #host: LeaseHost
  #timer: NodeJS.Timeout | undefined
  #renewing: Promise<void> | undefined

  constructor(host: LeaseHost) {
    this.#host = host
  }

  /** A stream has begun. */
  start(): void {
    this.#timer ??= inBackground(() =>
      setInterval(() => this.#tick(), this.#host.leaseMs / 3).unref(),
    )
  }

  close(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #tick(): void {
    const held = this.#host.producers().filter(({ isHeld }) => isHeld)
    if (held.length === 0) {
      this.close()
      return
    }
    const due = held.filter(({ mustRenew }) => mustRenew)
    // A log that is slow is asked once at a time.
    this.#renewing ??= this.#renew(due)
      .catch((error) => this.#host.onError(error))
      .finally(() => {
        this.#renewing = undefined
      })
  }

  async #renew(producers: readonly Producer[]): Promise<void> {
    const { log } = this.#host
    for (let i = 0; i < producers.length; i += batch) {
      const some = producers.slice(i, i + batch)
      const leases: Lease[] = some.map(({ channel, token, leaseMs }) => ({
        channel,
        token,
        leaseMs,
      }))
      const holds = await log.renew(leases)
      await Promise.all(
        some.map((producer, j) => (holds[j] ? producer.renewed() : this.#check(producer))),
      )
    }
  }

  /** One that is lost because the log has lost the stream is taken again by the next append. */
  async #check(producer: Producer): Promise<void> {
    if (!producer.isHeld) return
    const info = await this.#host.log.inspect(producer.channel)
    if (info?.end !== undefined) producer.endedBy(info)
  }
}
