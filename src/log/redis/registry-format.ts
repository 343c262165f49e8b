import { decodeChannelName, encodeChannelName } from '../../core/cursor.js'
import type { NewRecord, RecordState, RegistryRecord } from '../registry-store.js'

/** The keys of a registry, in the order in which scripts take them. */
export function registryKeys(prefix: string): readonly string[] {
  const base = registryBase(prefix)
  return ['r', 's', 'a', 'e', 'u', 'd', 'h'].map((name) => `${base}:${name}`)
}

/** Where the answer to a removal is kept for as long as it may be repeated. */
export function removalKey(prefix: string, token: string): string {
  return `${registryBase(prefix)}:x${token}`
}

/** No channel is there: neither prefixes nor encoded names have a `~`. */
function registryBase(prefix: string): string {
  return `{${prefix}:~registry}`
}

/** Instead of text that UTF-8 does not keep, or that begins like this. */
const escaped = '\r'

/** Any text as one that UTF-8 keeps as it is, and no two as the same. */
export function packText(text: string): string {
  return text.isWellFormed() && !text.startsWith(escaped)
    ? text
    : `${escaped}${JSON.stringify(text)}`
}

function unpackText(text: string): string {
  return text.startsWith(escaped) ? (JSON.parse(text.slice(escaped.length)) as string) : text
}

/** A user as it is in the order of users: `[A-Za-z0-9._%-]`. */
export function packUser(user: string): string {
  return encodeChannelName(packText(user))
}

/** What never changes, and no script looks at: kind, type, LF, metadata. */
export function packRecord({
  kind,
  type,
  metadata,
}: Pick<NewRecord, 'kind' | 'type' | 'metadata'>): string {
  return `${kind} ${JSON.stringify(type)}\n${packText(metadata)}`
}

/**
 * What scripts tell of records: id, then `<when silence begins> <lifetime> <pause>` and, unless it is active,
 * `<state> <since when> <last heartbeat>`, LF, `<startedAt> <token> <user>`, LF, and what was packed.
 */
export function parseRecords(parts: readonly string[]): readonly RegistryRecord[] {
  const records: RegistryRecord[] = []
  for (let i = 0; i < parts.length; i += 2) {
    records.push(parseRecord(unpackText(parts[i] as string), parts[i + 1] as string))
  }
  return records
}

function parseRecord(id: string, text: string): RegistryRecord {
  const ends: number[] = []
  for (let i = 0; i < 3; i++) ends.push(text.indexOf('\n', (ends[i - 1] ?? -1) + 1))
  const [stateEnd = 0, headerEnd = 0, whatEnd = 0] = ends
  const [silentSince, , pauseMs, state, endedAt, lastHeartbeat] = text.slice(0, stateEnd).split(' ')
  const [startedAt, , user] = text.slice(stateEnd + 1, headerEnd).split(' ')
  const kindEnd = text.indexOf(' ', headerEnd)
  return {
    id,
    kind: text.slice(headerEnd + 1, kindEnd) as RegistryRecord['kind'],
    type: JSON.parse(text.slice(kindEnd + 1, whatEnd)) as string,
    user: user ? unpackText(decodeChannelName(user) ?? '') : undefined,
    metadata: unpackText(text.slice(whatEnd + 1)),
    startedAt: Number(startedAt),
    lastHeartbeat: Number(lastHeartbeat ?? Number(silentSince) - Number(pauseMs)),
    state: (state ?? 'active') as RecordState,
    endedAt: endedAt === undefined ? undefined : Number(endedAt),
  }
}
