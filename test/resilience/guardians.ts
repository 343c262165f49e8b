import { type EventStreamOptions, memoryEventLog } from '../../src/index.js'
import { type GuardianOptions, resilience } from '../../src/resilience.js'
import { setUp } from '../support/app.js'

export const registry = { heartbeatMs: 100, lifetimeMs: 60_000, orphanAfterMs: 60_000 }

/** Guardians of as many processes, and what they do. */
export function setUpGuardians(
  { count = 1, ...options }: GuardianOptions & { readonly count?: number } = {},
  streamOptions: EventStreamOptions = {},
) {
  const log = memoryEventLog()
  const errors: unknown[] = []
  const ended: [string, string][] = []
  const processes = Array.from({ length: count }, () => {
    const onError = (error: unknown) => errors.push(error)
    const app = setUp({ log, registry, onError, ...streamOptions })
    const parts = resilience(app.eventStream, { intervalMs: 20, thresholdMs: 120, ...options })
    for (const name of ['orphaned', 'completed', 'failed'] as const) {
      parts.guardian.on(name, ({ streamId, state }) => ended.push([streamId, state]))
    }
    return { ...app, ...parts }
  })
  const first = processes[0] as (typeof processes)[number]
  const start = () => {
    for (const { guardian } of processes) guardian.start()
  }
  const stop = () => Promise.all(processes.map(({ guardian }) => guardian.stop()))
  const stateOf = async (id: string) => (await first.registry.getStream(id))?.state
  return { ...first, processes, start, stop, stateOf, ended, errors, log }
}
