import { ok } from 'node:assert/strict'
import type { LogListener, NewEntry, Page, StoredEvent } from '../log/event-log.js'

/** `test` of Jest, Vitest or `node:test`. */
export type Test = (name: string, body: () => Promise<void>) => unknown

export const all = { maxEvents: 1000, maxLength: 1_000_000 }

export function entry(n: number): NewEntry {
  return { event: 'n', data: JSON.stringify({ n }) }
}

export function numbers({ entries }: Pick<Page, 'entries'>): readonly number[] {
  return entries.map(({ data }) => (JSON.parse(data) as { n: number }).n)
}

export function collector(): LogListener & { readonly seen: StoredEvent[] } {
  const seen: StoredEvent[] = []
  return {
    seen,
    append: (entries) => {
      seen.push(...entries)
    },
    suspect: () => undefined,
  }
}

/** Waits for what the log does in its own time. */
export async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!(await condition())) {
    ok(performance.now() < deadline, 'still waiting after 10 s')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
