import { EventStreamError, quote } from '../core/errors.js'
import { encodeJson, parseJson } from '../core/json.js'
import type { NewRecord, RecordState, RegistryRecord } from '../log/registry-store.js'

/** A stream or connection, as it is registered. Times are those of the registry's store. */
export interface RegisteredStream {
  readonly streamId: string
  /** What it is to the application: `chat`, `export`. */
  readonly streamType: string
  /** Whose it is; undefined for nobody's. */
  readonly userId: string | undefined
  readonly startedAt: Date
  readonly lastHeartbeat: Date
  /** `expired`: it was, and nothing of it is kept. */
  readonly state: RecordState
  /** What it was registered with; of a connection, its `channels`. */
  readonly metadata: unknown
  /** A connection is one client; a stream is what any number of them read. */
  readonly kind: 'stream' | 'connection'
  /** When it got its state, unless that is `active`. */
  readonly endedAt: Date | undefined
}

/** What a stream is registered with, beside its id. */
export interface RecordFields {
  readonly type: string
  readonly user: string | undefined
  /** JSON. */
  readonly metadata: string
}

/** UTF-16 units. */
const maxMetadata = 16_384

export function toRegistered(record: RegistryRecord): RegisteredStream {
  const { id, kind, type, user, metadata, startedAt, lastHeartbeat, state, endedAt } = record
  return {
    streamId: id,
    streamType: type,
    userId: user,
    startedAt: new Date(startedAt),
    lastHeartbeat: new Date(lastHeartbeat),
    state,
    metadata: parseJson(metadata),
    kind,
    endedAt: endedAt === undefined ? undefined : new Date(endedAt),
  }
}

/**
 * Checks what a stream is to be registered with.
 *
 * @param user - Numbers, as databases give them, are made text.
 * @throws EventStreamError `ERR_OPTION` for a type or user that is no text of 1 to 255 characters; `ERR_DATA` for
 *   metadata that JSON cannot hold, or that is longer than 16,384 characters.
 */
export function checkFields(type: unknown, user: unknown, metadata: unknown): RecordFields {
  return {
    type: checkText('The type of a stream', type),
    user: user === undefined || user === null ? undefined : checkUser(user),
    metadata: encodeMetadata(metadata),
  }
}

/** @throws EventStreamError `ERR_OPTION`. */
export function checkUser(user: unknown): string {
  return checkText('The user of a stream', Number.isFinite(user) ? String(user) : user)
}

export function newRecord(
  id: string,
  kind: NewRecord['kind'],
  { type, user, metadata }: RecordFields,
  lifetimeMs: number,
): NewRecord {
  return { id, kind, type, user, metadata, lifetimeMs, pauseMs: 0, replaces: false }
}

function checkText(what: string, value: unknown): string {
  if (typeof value === 'string' && value.length > 0 && value.length <= 255) return value
  throw new EventStreamError('ERR_OPTION', `${what} is ${quote(value)}; give 1 to 255 characters.`)
}

function encodeMetadata(metadata: unknown): string {
  const json = encodeJson('The metadata of a stream', metadata)
  if (json.length <= maxMetadata) return json
  throw new EventStreamError(
    'ERR_DATA',
    `The metadata of a stream has ${json.length} characters of JSON, and ${maxMetadata} are kept; give a reference.`,
  )
}
