import type { NewRecord } from '../../src/log/registry-store.js'

/** A record as streams have it, that lives for ten minutes. */
export function record(id: string, own: Partial<NewRecord> = {}): NewRecord {
  return {
    id,
    kind: 'stream',
    type: 'chat',
    user: 'ann',
    metadata: '{}',
    lifetimeMs: 600_000,
    pauseMs: 0,
    replaces: false,
    ...own,
  }
}

/** Records `r0`, `r1` and so on. */
export function recordsOf(count: number, own: (i: number) => Partial<NewRecord> = () => ({})) {
  return Array.from({ length: count }, (_, i) => record(`r${i}`, own(i)))
}
