import { functions } from './functions.js'
import { lossFunctions } from './loss-functions.js'
import { registryFunctions } from './registry-functions.js'
import { streamFunctions } from './stream-functions.js'

/** What brings the schema from one version to the next. Never changed once it was published. */
export interface Migration {
  readonly version: number
  /** `{schema}` stands for the quoted name of the schema. */
  readonly sql: string
}

/**
 * The channels, their entries, and who appended last.
 *
 * - Entries from `first_seq` on are kept. `first_start` and `first_at` are the bytes before, and the time
 *   of, the earliest of them when it was last looked at: never more than the truth, so that what is to be
 *   dropped is looked for only when there may be any. Rows before `first_seq` are deleted many at a
 *   time: those from `kept_seq` on may still be there.
 * - A channel is changed by each append, so no column that an append changes is in an index, and half of
 *   each page is free: Postgres then writes the new row beside the old one, and touches no index.
 * - `purge_at` is when a channel is to be looked at, by whoever purges.
 * - A channel with a `lease_token` is a stream: it has one producer, which is the one that has the token, and
 *   an end, which is `closed_at`. Its limits are the producer's, and its entries have no age of their own.
 * - `losses` has lines of what is known to have been lost: see the function `lose`.
 */
const tables = `
CREATE TABLE {schema}.channel (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text COLLATE "C" NOT NULL UNIQUE,
  head_seq bigint NOT NULL DEFAULT 0,
  head_nonce bigint NOT NULL,
  head_at timestamptz NOT NULL,
  bytes bigint NOT NULL DEFAULT 0,
  first_seq bigint NOT NULL DEFAULT 1,
  first_start bigint NOT NULL DEFAULT 0,
  first_at timestamptz NOT NULL,
  kept_seq bigint NOT NULL DEFAULT 1,
  kept_start bigint NOT NULL DEFAULT 0,
  max_age interval NOT NULL,
  expires_at timestamptz NOT NULL,
  purge_at timestamptz NOT NULL,
  began_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  losses text[],
  closed_at timestamptz,
  lease_token text COLLATE "C",
  lease_until timestamptz,
  origin_seq bigint,
  origin_nonce bigint,
  started_at timestamptz,
  CHECK (head_seq BETWEEN 0 AND 9007199254740991 AND head_nonce BETWEEN 0 AND 4294967295),
  CHECK (kept_seq BETWEEN 1 AND first_seq AND first_seq <= head_seq + 1),
  CHECK (lease_token IS NULL OR num_nulls(lease_until, origin_seq, origin_nonce, started_at) = 0)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX channel_purge_at ON {schema}.channel (purge_at);

CREATE TABLE {schema}.entry (
  channel bigint NOT NULL,
  seq bigint NOT NULL,
  nonce bigint NOT NULL,
  prev_nonce bigint NOT NULL,
  at timestamptz NOT NULL,
  start bigint NOT NULL,
  key bytea,
  escaped boolean NOT NULL,
  event text,
  data text NOT NULL,
  PRIMARY KEY (channel, seq),
  CHECK (seq BETWEEN 1 AND 9007199254740991 AND nonce BETWEEN 0 AND 4294967295 AND prev_nonce BETWEEN 0 AND 4294967295)
) WITH (autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX entry_key ON {schema}.entry (channel, key) WHERE key IS NOT NULL;

CREATE TABLE {schema}.producer (
  channel bigint NOT NULL,
  id bigint NOT NULL,
  batch bigint NOT NULL,
  attempt integer NOT NULL,
  first_seq bigint NOT NULL,
  prev_nonce bigint NOT NULL,
  known text[],
  used_at timestamptz NOT NULL,
  PRIMARY KEY (channel, id)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
`

export const migrations: readonly Migration[] = [
  { version: 1, sql: tables },
  { version: 2, sql: streamFunctions + lossFunctions + functions },
  { version: 3, sql: registryFunctions },
]

/** The version of the schema that this code works with. */
export const schemaVersion = 3
