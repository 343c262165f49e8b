import { cpus, freemem, totalmem } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'

/** One sample, as the chart gets it: milliseconds since 1970, and percent of this machine. */
export interface LoadSample {
  /** The process that was the first to have it, when there are several. */
  readonly by: string | undefined
  readonly at: number
  readonly cpu: number
  readonly memory: number
}

const intervalMs = 500

/**
 * Measures this machine's load twice a second, as events for a channel. Processes of one machine
 * measure at the same moments and give them the same keys, so that each is published once, and goes
 * on being so when one of the processes is gone.
 */
export async function* measureLoad(by: string | undefined): AsyncGenerator<{
  readonly event: 'load'
  readonly data: LoadSample
  readonly idempotencyKey: string
}> {
  let before = cpuTimes()
  for (;;) {
    await delay(intervalMs - (Date.now() % intervalMs))
    const tick = Math.round(Date.now() / intervalMs)
    const now = cpuTimes()
    const cpu = percent(now.busy - before.busy, now.total - before.total)
    const memory = percent(totalmem() - freemem(), totalmem())
    before = now
    const data = { by, at: tick * intervalMs, cpu, memory }
    yield { event: 'load', data, idempotencyKey: `tick-${tick}` }
  }
}

function cpuTimes(): { readonly busy: number; readonly total: number } {
  let busy = 0
  let idle = 0
  for (const { times } of cpus()) {
    busy += times.user + times.nice + times.sys + times.irq
    idle += times.idle
  }
  return { busy, total: busy + idle }
}

function percent(part: number, whole: number): number {
  // The system's clock ticks count in steps, so that a short interval may have none.
  return whole > 0 ? Math.round((1000 * part) / whole) / 10 : 0
}
