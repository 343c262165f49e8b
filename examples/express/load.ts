import { cpus, freemem, totalmem } from 'node:os'
import { setInterval } from 'node:timers/promises'

/** One sample, as the chart gets it: milliseconds since 1970, and percent of this machine. */
export interface LoadSample {
  readonly at: number
  readonly cpu: number
  readonly memory: number
}

/** Measures this machine's load twice a second, as events for a channel. */
export async function* measureLoad(intervalMs = 500): AsyncGenerator<{
  readonly event: 'load'
  readonly data: LoadSample
}> {
  let before = cpuTimes()
  for await (const _ of setInterval(intervalMs)) {
    const now = cpuTimes()
    const cpu = percent(now.busy - before.busy, now.total - before.total)
    const memory = percent(totalmem() - freemem(), totalmem())
    before = now
    yield { event: 'load', data: { at: Date.now(), cpu, memory } }
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
