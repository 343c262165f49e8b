/** What is told of a record: its state is that of the moment, `v_now`. */
const shown = `r.id, r.kind, r.type, r.owner, r.metadata,
    floor(extract(epoch FROM r.started_at) * 1000)::bigint, floor(extract(epoch FROM r.heard_at) * 1000)::bigint,
    CASE WHEN r.expires_at <= v_now THEN 'expired' ELSE coalesce(r.state, 'active') END,
    floor(extract(epoch FROM CASE WHEN r.expires_at <= v_now THEN r.expires_at ELSE r.ended_at END) * 1000)::bigint`

const row = `id text, kind text, type text, owner text, metadata text, started bigint, heard bigint, state text, ended bigint`

/** For how long an active record is silent. */
const silence = `greatest(v_now - r.heard_at - r.pause, interval '0')`

/**
 * Who streams what, and what is atomic about it.
 *
 * - A record is active until `ended_at`, expired from `expires_at` on, and forgotten a `lifetime` later. A heartbeat
 *   changes `heard_at` and `expires_at`, and taking `holder` and `held_until`: none of them is in an index, so that
 *   Postgres writes the new row beside the old one, and touches no index.
 * - `purge_at` is when a record is to be looked at, by whoever purges. Heartbeats leave it alone.
 * - `token` is of the call that has registered it, and `end_token` of the one that has ended it: by them a call
 *   whose answer was lost finds what it has done.
 * - Users are found by a hash, as an index takes no long text.
 *
 * Whoever locks several rows does so in the order of their ids, or skips those that are locked: so nobody waits in
 * a circle.
 */
export const registryFunctions = `
CREATE TABLE {schema}.record (
  id text COLLATE "C" PRIMARY KEY,
  kind text NOT NULL,
  type text NOT NULL,
  owner text COLLATE "C",
  metadata text NOT NULL,
  token uuid NOT NULL,
  started_at timestamptz NOT NULL,
  heard_at timestamptz NOT NULL,
  pause interval NOT NULL,
  lifetime interval NOT NULL,
  expires_at timestamptz NOT NULL,
  purge_at timestamptz NOT NULL,
  state text,
  ended_at timestamptz,
  end_token uuid,
  holder text COLLATE "C",
  held_until timestamptz,
  settled boolean NOT NULL DEFAULT false,
  CHECK (kind IN ('stream', 'connection')),
  CHECK (state IN ('completed', 'failed', 'aborted', 'orphaned', 'expired')),
  CHECK (isfinite(started_at) AND isfinite(heard_at) AND isfinite(ended_at))
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX record_owner ON {schema}.record (hashtextextended(owner, 0), started_at) WHERE owner IS NOT NULL;
CREATE INDEX record_active ON {schema}.record (started_at) WHERE ended_at IS NULL;
CREATE INDEX record_purge_at ON {schema}.record (purge_at);

-- Deletes some of those that are forgotten. Returns how many were looked at.
CREATE FUNCTION {schema}.purge_records(p_limit integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_count integer;
BEGIN
  WITH due AS MATERIALIZED (
    SELECT r.id, r.expires_at + r.lifetime AS at FROM {schema}.record r WHERE r.purge_at <= v_now
    ORDER BY r.purge_at LIMIT p_limit FOR UPDATE SKIP LOCKED
  ), gone AS (
    DELETE FROM {schema}.record r USING due WHERE r.id = due.id AND due.at <= v_now
  ), kept AS (
    UPDATE {schema}.record r SET purge_at = due.at FROM due WHERE r.id = due.id AND due.at > v_now
  )
  SELECT count(*) INTO v_count FROM due;
  RETURN v_count;
END $$;

-- The places of those that were registered. Who comes upon a row with his token has been here before.
CREATE FUNCTION {schema}.register(
  p_wait_ms integer, p_tokens uuid[], p_ids text[], p_kinds text[], p_types text[], p_owners text[],
  p_metadata text[], p_lifetimes interval[], p_pauses interval[], p_replaces boolean[]
) RETURNS SETOF integer LANGUAGE plpgsql AS $$
DECLARE
  k record;
  v_now timestamptz;
BEGIN
  PERFORM set_config('lock_timeout', p_wait_ms::text, true);
  FOR k IN
    SELECT * FROM unnest(p_tokens, p_ids, p_kinds, p_types, p_owners, p_metadata, p_lifetimes, p_pauses, p_replaces)
      WITH ORDINALITY AS u (token, id, kind, type, owner, metadata, lifetime, pause, replaces, i)
    ORDER BY u.id COLLATE "C", u.i
  LOOP
    v_now := clock_timestamp();
    INSERT INTO {schema}.record AS r (
      id, kind, type, owner, metadata, token, started_at, heard_at, pause, lifetime, expires_at, purge_at
    ) VALUES (
      k.id, k.kind, k.type, k.owner, k.metadata, k.token, v_now, v_now, k.pause, k.lifetime,
      v_now + k.lifetime, v_now + k.lifetime * 2
    )
    ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, type = excluded.type, owner = excluded.owner,
      metadata = excluded.metadata, token = excluded.token, started_at = excluded.started_at,
      heard_at = excluded.heard_at, pause = excluded.pause, lifetime = excluded.lifetime,
      expires_at = excluded.expires_at, purge_at = excluded.purge_at,
      state = NULL, ended_at = NULL, end_token = NULL, holder = NULL, held_until = NULL, settled = false
    WHERE r.token <> k.token AND (k.replaces OR r.expires_at <= clock_timestamp());
    IF FOUND OR EXISTS (SELECT FROM {schema}.record r WHERE r.id = k.id AND r.token = k.token) THEN
      RETURN NEXT k.i;
    END IF;
  END LOOP;
  -- Two go for each that comes, so that little is left where nobody purges. Last, as it locks in no order.
  PERFORM {schema}.purge_records(2 * cardinality(p_ids));
END $$;

-- The ids of those that were heard of.
CREATE FUNCTION {schema}.heartbeat(p_wait_ms integer, p_ids text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('lock_timeout', p_wait_ms::text, true);
  RETURN QUERY
  WITH k AS MATERIALIZED (
    -- Joined, as a plan made for any array would look through it for each row of the table.
    SELECT r.id FROM unnest(p_ids) AS u (id) JOIN {schema}.record r ON r.id = u.id
    WHERE r.ended_at IS NULL AND NOT r.settled AND r.expires_at > clock_timestamp()
    ORDER BY r.id FOR NO KEY UPDATE OF r
  ), t AS MATERIALIZED (
    -- The time at which all are locked.
    SELECT clock_timestamp() AS now FROM (SELECT count(*) FROM k) c
  )
  UPDATE {schema}.record r
  SET heard_at = t.now, expires_at = t.now + r.lifetime, holder = NULL, held_until = NULL
  FROM k, t WHERE r.id = k.id
  RETURNING r.id;
END $$;

-- The ids of those that were there.
CREATE FUNCTION {schema}.remove(p_wait_ms integer, p_ids text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('lock_timeout', p_wait_ms::text, true);
  RETURN QUERY
  WITH k AS MATERIALIZED (
    SELECT r.id FROM unnest(p_ids) AS u (id) JOIN {schema}.record r ON r.id = u.id ORDER BY r.id FOR UPDATE OF r
  ), gone AS (
    DELETE FROM {schema}.record r USING k WHERE r.id = k.id RETURNING r.id, r.expires_at + r.lifetime AS at
  )
  SELECT g.id FROM gone g WHERE g.at > clock_timestamp();
END $$;

CREATE FUNCTION {schema}.record_of(p_id text) RETURNS TABLE (${row}) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  v_now timestamptz := clock_timestamp();
BEGIN
  RETURN QUERY SELECT ${shown}
  FROM {schema}.record r WHERE r.id = p_id AND r.expires_at + r.lifetime > v_now;
END $$;

CREATE FUNCTION {schema}.records_of(p_owner text, p_limit integer) RETURNS TABLE (${row}) LANGUAGE plpgsql STABLE
-- Along the index, and no further than the limit.
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
  v_now timestamptz := clock_timestamp();
BEGIN
  RETURN QUERY SELECT ${shown}
  FROM {schema}.record r
  WHERE hashtextextended(r.owner, 0) = hashtextextended(p_owner, 0) AND r.owner = p_owner AND r.expires_at > v_now
  ORDER BY r.started_at DESC LIMIT p_limit;
END $$;

CREATE FUNCTION {schema}.silent_records(p_silence interval, p_limit integer)
RETURNS TABLE (${row}) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  v_now timestamptz := clock_timestamp();
BEGIN
  RETURN QUERY SELECT ${shown}
  FROM {schema}.record r
  WHERE r.ended_at IS NULL AND r.expires_at > v_now AND ${silence} >= p_silence
  ORDER BY r.heard_at + r.pause, r.id LIMIT p_limit;
END $$;

CREATE FUNCTION {schema}.count_records(
  p_silence interval, OUT active bigint, OUT silent bigint, OUT completed bigint, OUT failed bigint,
  OUT aborted bigint, OUT orphaned bigint, OUT longest bigint
) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  v_now timestamptz := clock_timestamp();
BEGIN
  SELECT count(*) FILTER (WHERE r.state IS NULL AND ${silence} < p_silence),
    count(*) FILTER (WHERE r.state IS NULL AND ${silence} >= p_silence),
    count(*) FILTER (WHERE r.state = 'completed'), count(*) FILTER (WHERE r.state = 'failed'),
    count(*) FILTER (WHERE r.state = 'aborted'), count(*) FILTER (WHERE r.state = 'orphaned'),
    floor(extract(epoch FROM max(${silence}) FILTER (WHERE r.state IS NULL)) * 1000)
  INTO active, silent, completed, failed, aborted, orphaned, longest
  FROM {schema}.record r WHERE r.expires_at > v_now;
END $$;

-- Whether it was this call; null where there is none.
CREATE FUNCTION {schema}.end_record(p_wait_ms integer, p_token uuid, p_id text, p_state text)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  r {schema}.record;
  v_now timestamptz;
BEGIN
  PERFORM set_config('lock_timeout', p_wait_ms::text, true);
  SELECT * INTO r FROM {schema}.record WHERE id = p_id FOR NO KEY UPDATE;
  v_now := clock_timestamp();
  IF r.id IS NULL OR r.expires_at + r.lifetime <= v_now THEN
    RETURN NULL;
  END IF;
  IF r.ended_at IS NOT NULL OR r.expires_at <= v_now THEN
    RETURN coalesce(r.end_token = p_token, false);
  END IF;
  UPDATE {schema}.record SET state = p_state, ended_at = v_now, end_token = p_token,
    expires_at = v_now + r.lifetime, purge_at = v_now + r.lifetime * 2, holder = NULL, held_until = NULL
  WHERE id = p_id;
  RETURN true;
END $$;

-- Who has taken some gets them again, as his answer may have been lost.
CREATE FUNCTION {schema}.take_records(p_silence interval, p_holder text, p_hold interval, p_limit integer)
RETURNS TABLE (${row}) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_now timestamptz := clock_timestamp();
BEGIN
  RETURN QUERY
  WITH k AS MATERIALIZED (
    SELECT r.id FROM {schema}.record r
    WHERE r.ended_at IS NULL AND r.expires_at > v_now AND ${silence} >= p_silence
      AND (r.holder IS NULL OR r.holder = p_holder OR r.held_until <= v_now)
    ORDER BY r.heard_at + r.pause, r.id LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED
  ), r AS (
    UPDATE {schema}.record t SET holder = p_holder, held_until = v_now + p_hold FROM k WHERE t.id = k.id
    RETURNING t.*
  )
  SELECT ${shown} FROM r ORDER BY r.heard_at + r.pause, r.id;
END $$;

CREATE FUNCTION {schema}.settle_record(p_wait_ms integer, p_id text, p_holder text)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('lock_timeout', p_wait_ms::text, true);
  UPDATE {schema}.record SET settled = true
  WHERE id = p_id AND holder = p_holder AND held_until > clock_timestamp()
    AND ended_at IS NULL AND expires_at > clock_timestamp();
  RETURN FOUND;
END $$;

-- Deletes a stream that has ended. Its followers are told, as the next one of its name may come to the same ids.
CREATE FUNCTION {schema}.drop_stream(p_name text, p_wait_ms integer) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  c {schema}.channel := {schema}.locked(p_name, p_wait_ms);
BEGIN
  IF c.lease_token IS NULL OR c.closed_at IS NULL THEN
    RETURN false;
  END IF;
  PERFORM {schema}.forget(c.name);
  PERFORM pg_notify('{schema}', c.name || ':-1');
  RETURN true;
END $$;

ALTER FUNCTION {schema}.purge(integer, integer) RENAME TO purge_channels;

-- Looks at some of the channels and records that are due. Whoever else purges takes other ones.
CREATE FUNCTION {schema}.purge(
  p_channels integer DEFAULT 100, p_entries integer DEFAULT 10000, p_records integer DEFAULT 1000,
  OUT channels integer, OUT entries bigint, OUT records integer
) LANGUAGE plpgsql AS $$
BEGIN
  SELECT p.channels, p.entries INTO channels, entries FROM {schema}.purge_channels(p_channels, p_entries) p;
  records := {schema}.purge_records(p_records);
END $$;
`
