import { decodeChannelName, encodeChannelName } from '../../core/cursor.js'
import { parseJson } from '../../core/json.js'
import type { NewRecord, RecordState, RegistryRecord } from '../registry-store.js'
import { type KeyPrefix, wholePrefix } from './format.js'

/** The keys of a registry, in the order in which scripts take them. */
export function registryKeys(prefix: KeyPrefix | string): readonly string[] {
  const base = registryBase(prefix)
  return ['r', 's', 'a', 'e', 'u', 'd', 'h'].map((name) => `${base}:${name}`)
}

/** Where the answer to a removal is kept for as long as it may be repeated. */
export function removalKey(prefix: KeyPrefix, token: string): string {
  return `${registryBase(prefix)}:x${token}`
}

/** No channel is there: neither prefixes nor encoded names have a `~`. */
function registryBase(prefix: KeyPrefix | string): string {
  const { start } = typeof prefix === 'string' ? wholePrefix('', prefix, 0) : prefix
  return `${start}:~registry}`
}

/** Instead of text that UTF-8 does not keep, or that begins like this. */
const escaped = '\r'

/** Any text as one that UTF-8 keeps as it is, and no two as the same. */
export function packText(text: string): string {
  return text.isWellFormed() && !text.startsWith(escaped)
    ? text
    : `${escaped}${JSON.stringify(text)}`
}

/** @returns undefined for what {@link packText} has not given. */
function unpackText(text: string): string | undefined {
  if (!text.startsWith(escaped)) return text
  const value = parseJson(text.slice(escaped.length))
  return typeof value === 'string' ? value : undefined
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
 * `<state> <since when> <last heartbeat>`, LF, `<startedAt> <token> <user>`, LF, and what was packed. Those that
 * were registered by nobody are left out.
 */
export function parseRecords(parts: readonly string[]): readonly RegistryRecord[] {
  const records: RegistryRecord[] = []
  for (let i = 0; i < parts.length; i += 2) {
    const record = parseRecord(unpackText(parts[i] as string), parts[i + 1] as string)
    if (record !== undefined) records.push(record)
  }
  return records
}

const layout = new RegExp(
  '^(?<silentSince>[\\d.]*) \\d+ (?<pauseMs>\\d+)' +
    '(?: (?<state>completed|failed|aborted|orphaned|expired) (?<endedAt>\\d+) (?<heard>\\d+)(?: \\S+)?)?\\n' +
    '(?<startedAt>\\d+) \\S+ (?<user>\\S*)\\n' +
    '(?<kind>stream|connection) (?<type>.*)\\n(?<metadata>[^]*)$',
)

function parseRecord(id: string | undefined, text: string): RegistryRecord | undefined {
  const groups = layout.exec(text)?.groups
  if (id === undefined || groups === undefined) return undefined
  const { silentSince, pauseMs, state = 'active', endedAt, heard, startedAt, user } = groups
  const type = parseJson(groups.type ?? '')
  const metadata = unpackText(groups.metadata ?? '')
  const owner = user ? unpackText(decodeChannelName(user) ?? escaped) : undefined
  if (typeof type !== 'string' || metadata === undefined || !user !== (owner === undefined)) {
    return undefined
  }
  return {
    id,
    kind: groups.kind as RegistryRecord['kind'],
    type,
    user: owner,
    metadata,
    startedAt: Number(startedAt),
    lastHeartbeat: Number(heard ?? Number(silentSince) - Number(pauseMs)),
    state: state as RecordState,
    endedAt: endedAt === undefined ? undefined : Number(endedAt),
  }
}
