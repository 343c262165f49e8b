import type {
  NewRecord,
  RegistryLog,
  RegistryRecord,
  RegistryStore,
  Take,
} from '../log/registry-store.js'
import type { StreamLog } from '../log/stream-log.js'
import { until } from './suite.js'

/** Makes a log for one test, whose registry is empty and which nobody else uses. The suite closes it. */
export type CreateRegistryLog = () => Promise<StreamLog & RegistryLog>

export type WithRegistry = (
  name: string,
  body: (registry: RegistryStore) => Promise<void>,
) => unknown

export const noneCounted = {
  active: 0,
  silent: 0,
  completed: 0,
  failed: 0,
  aborted: 0,
  orphaned: 0,
  longestSilenceMs: undefined,
}

export function record(id: string, own: Partial<NewRecord> = {}): NewRecord {
  return {
    id,
    kind: 'stream',
    type: 'test',
    user: undefined,
    metadata: '{}',
    lifetimeMs: 60_000,
    pauseMs: 0,
    replaces: false,
    ...own,
  }
}

export function take(own: Partial<Take> = {}): Take {
  return { silentMs: 1, holder: 'one', holdMs: 60_000, limit: 1, ...own }
}

export function idOf(record: Pick<RegistryRecord, 'id'> | undefined): string {
  return record?.id ?? ''
}

export async function recordOf(registry: RegistryStore, id: string): Promise<RegistryRecord> {
  return (await registry.get(id)) as RegistryRecord
}

export async function silent(
  registry: RegistryStore,
  silentMs: number,
): Promise<readonly string[]> {
  return (await registry.list({ silentMs, limit: 100 })).map(idOf)
}

export async function untilTaken(registry: RegistryStore, id: string, wanted: Take): Promise<void> {
  await until(async () => (await registry.take(wanted)).map(idOf).includes(id))
}

/** Waits until the store's clock has moved on, so that what comes next is later. */
export async function untilLater(registry: RegistryStore): Promise<void> {
  const at = async () => {
    await registry.register([record('clock', { replaces: true })])
    const { startedAt } = await recordOf(registry, 'clock')
    await registry.remove(['clock'])
    return startedAt
  }
  const before = await at()
  await until(async () => (await at()) > before)
}
