import { replacing } from './functions.js'

/**
 * What is atomic about streams: channels that have a `lease_token`. Each function may be called again when its
 * answer was lost: tokens and ids tell what was done already.
 *
 * A stream is due once its lease has run out, and again once it is past its age. Whoever comes upon one that
 * is due settles it before anything else.
 */
export const streamFunctions = `
CREATE FUNCTION {schema}.is_due(c {schema}.channel, p_now timestamptz) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT c.lease_token IS NOT NULL
    AND (c.expires_at <= p_now OR c.closed_at IS NULL AND c.lease_until <= p_now)
$$;

-- Appends the end of a stream whose row is locked.
CREATE FUNCTION {schema}.put_end(c {schema}.channel, p_escaped boolean, p_event text, p_data text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := greatest(clock_timestamp(), c.head_at);
BEGIN
  INSERT INTO {schema}.entry (channel, seq, nonce, prev_nonce, at, start, escaped, event, data)
  VALUES (c.id, c.head_seq + 1, 0, c.head_nonce, v_now, c.bytes, p_escaped, p_event, p_data)
  ${replacing};
  UPDATE {schema}.channel SET head_seq = c.head_seq + 1, head_nonce = 0, head_at = v_now, closed_at = v_now,
    bytes = c.bytes + coalesce(octet_length(p_event), 0) + octet_length(p_data), expires_at = v_now + c.max_age,
    purge_at = least(purge_at, v_now + c.max_age)
  WHERE id = c.id;
END $$;

-- Ends streams whose lease has run out, and deletes those past their age. One that somebody else has
-- locked is left to him.
CREATE FUNCTION {schema}.settle(p_names text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  c {schema}.channel;
  v_now timestamptz := clock_timestamp();
BEGIN
  FOR c IN
    SELECT d.* FROM {schema}.channel d WHERE d.name = ANY (p_names) AND {schema}.is_due(d, v_now)
    FOR NO KEY UPDATE SKIP LOCKED
  LOOP
    IF c.expires_at <= v_now THEN
      PERFORM {schema}.forget(c.name);
    ELSE
      PERFORM {schema}.put_end(c, false, 'stream-end', '{"state":"orphaned"}');
      -- Nobody else knows. That commits are serialised by it matters little: it is once in a stream's life.
      PERFORM pg_notify('{schema}', c.name || ':' || c.head_seq + 1);
    END IF;
  END LOOP;
END $$;

-- Locks a channel that is there, with all that was due on it done. Null for none.
CREATE FUNCTION {schema}.locked(p_name text, p_wait_ms integer) RETURNS {schema}.channel LANGUAGE plpgsql AS $$
DECLARE
  c {schema}.channel;
  v_now timestamptz;
BEGIN
  PERFORM set_config('lock_timeout', p_wait_ms::text, true);
  LOOP
    SELECT * INTO c FROM {schema}.channel WHERE name = p_name FOR NO KEY UPDATE;
    v_now := clock_timestamp();
    IF NOT FOUND OR c.lease_token IS NULL AND c.expires_at <= v_now THEN
      RETURN NULL;
    END IF;
    IF NOT {schema}.is_due(c, v_now) THEN
      RETURN c;
    END IF;
    PERFORM {schema}.settle(ARRAY[p_name]);
  END LOOP;
END $$;

-- How a stream stands: no row where there is none. Only one that is due is locked.
CREATE FUNCTION {schema}.inspect(p_name text, p_wait_ms integer) RETURNS TABLE (
  origin text, id text, started bigint, token text, ended boolean, prev text, escaped boolean, event text, data text
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  c {schema}.channel;
  v_now timestamptz := clock_timestamp();
BEGIN
  SELECT * INTO c FROM {schema}.channel WHERE name = p_name;
  IF {schema}.is_due(c, v_now) THEN
    c := {schema}.locked(p_name, p_wait_ms);
  END IF;
  IF c.lease_token IS NOT NULL THEN
    RETURN QUERY SELECT c.origin_seq || '-' || c.origin_nonce, c.head_seq || '-' || c.head_nonce,
      (extract(epoch FROM c.started_at) * 1000)::bigint, c.lease_token, c.closed_at IS NOT NULL,
      e.seq - 1 || '-' || e.prev_nonce, e.escaped, e.event, e.data
    FROM (VALUES (c.id)) AS k (id)
    LEFT JOIN {schema}.entry e ON e.channel = k.id AND e.seq = c.head_seq AND c.closed_at IS NOT NULL;
  END IF;
END $$;

-- p_head_seq is null unless the stream is to go on where its producer is.
CREATE FUNCTION {schema}.claim(
  p_name text, p_own bigint, p_wait_ms integer, p_token text, p_lease interval, p_age interval,
  p_origin_seq bigint, p_origin_nonce bigint, p_head_seq bigint, p_head_nonce bigint
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  c {schema}.channel;
  v_now timestamptz := clock_timestamp();
BEGIN
  -- Without a lock, so that a crowd of those who come too late does not hold up the producer.
  SELECT * INTO c FROM {schema}.channel WHERE name = p_name;
  IF c.lease_token <> p_token AND NOT {schema}.is_due(c, v_now) THEN
    RETURN CASE WHEN c.closed_at IS NULL THEN 'taken' ELSE 'ended' END;
  END IF;
  LOOP
    c := {schema}.locked(p_name, p_wait_ms);
    EXIT WHEN c.id IS NOT NULL;
    -- What is past its age is gone, purged or not.
    PERFORM {schema}.forget(d.name) FROM {schema}.channel d WHERE d.name = p_name AND d.expires_at <= clock_timestamp();
    PERFORM {schema}.ensure(ARRAY[p_name], ARRAY[p_own], p_age);
  END LOOP;
  IF c.lease_token IS NOT NULL AND c.closed_at IS NOT NULL THEN
    RETURN 'ended';
  END IF;
  IF c.lease_token <> p_token THEN
    RETURN 'taken';
  END IF;
  IF c.lease_token IS NOT NULL AND p_head_seq IS NULL THEN
    RETURN 'owned';
  END IF;
  v_now := clock_timestamp();
  -- A log that is further than its own producer has lost nothing: this is a claim that was overtaken.
  IF c.head_seq < p_head_seq OR c.head_seq = p_head_seq AND c.head_nonce <> p_head_nonce THEN
    DELETE FROM {schema}.entry WHERE channel = c.id;
    c.head_seq := p_head_seq;
    c.head_nonce := p_head_nonce;
    c.first_seq := p_head_seq + 1;
    c.kept_seq := c.first_seq;
    c.first_start := c.bytes;
    c.kept_start := c.bytes;
  END IF;
  UPDATE {schema}.channel SET lease_token = p_token, lease_until = v_now + p_lease,
    started_at = coalesce(c.started_at, v_now), max_age = p_age, expires_at = v_now + p_lease + p_age,
    purge_at = v_now + p_lease + p_age, head_seq = c.head_seq, head_nonce = c.head_nonce,
    origin_seq = coalesce(p_origin_seq, c.head_seq), origin_nonce = coalesce(p_origin_nonce, c.head_nonce),
    first_seq = c.first_seq, first_start = c.first_start, kept_seq = c.kept_seq, kept_start = c.kept_start
  WHERE id = c.id;
  RETURN 'owned';
END $$;

-- Appends a batch as the function append does, but for keys, and only behind the entry that its producer
-- takes for the last one. The nonce 0 is that of an end.
CREATE FUNCTION {schema}.produce(
  p_name text, p_wait_ms integer, p_token text, p_lease interval, p_prev_seq bigint, p_prev_nonce bigint,
  p_nonces bigint[], p_at integer[], p_flags integer[], p_payload bytea,
  p_max_events bigint, p_max_bytes bigint, p_age interval
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  c {schema}.channel := {schema}.locked(p_name, p_wait_ms);
  n integer := cardinality(p_nonces);
  v_now timestamptz := clock_timestamp();
  v_lease_until timestamptz := v_now + p_lease;
  v_head bigint := p_prev_seq + n;
  v_bytes bigint;
BEGIN
  IF c.lease_token IS NULL THEN
    RETURN 'missing';
  END IF;
  IF c.lease_token <> p_token THEN
    RETURN 'taken';
  END IF;
  IF c.closed_at IS NOT NULL THEN
    RETURN CASE WHEN c.head_seq = v_head AND p_nonces[n] = 0 AND EXISTS (
      SELECT FROM {schema}.entry e WHERE e.channel = c.id AND e.seq = v_head
        AND e.data = convert_from(substring(p_payload FROM p_at[3*n] + 1), 'UTF8')
    ) THEN 'appended' ELSE 'ended' END;
  END IF;
  IF c.head_seq = v_head AND c.head_nonce = p_nonces[n] THEN
    RETURN 'appended';
  END IF;
  IF c.head_seq <> p_prev_seq OR c.head_nonce <> p_prev_nonce THEN
    RETURN 'diverged';
  END IF;
  v_now := greatest(v_now, c.head_at);
  INSERT INTO {schema}.entry (channel, seq, nonce, prev_nonce, at, start, escaped, event, data)
  SELECT c.id, c.head_seq + i, p_nonces[i], CASE WHEN i = 1 THEN c.head_nonce ELSE p_nonces[i-1] END, v_now,
    c.bytes + sum(p_at[3*i+1] - p_at[3*i-1]) OVER (ORDER BY i) - (p_at[3*i+1] - p_at[3*i-1]),
    p_flags[i] & 4 = 4,
    CASE WHEN p_flags[i] & 2 = 2
      THEN convert_from(substring(p_payload FROM p_at[3*i-1] + 1 FOR p_at[3*i] - p_at[3*i-1]), 'UTF8') END,
    convert_from(substring(p_payload FROM p_at[3*i] + 1 FOR p_at[3*i+1] - p_at[3*i]), 'UTF8')
  FROM generate_series(1, n) i
  ${replacing};
  v_bytes := c.bytes + (SELECT sum(p_at[3*i+1] - p_at[3*i-1]) FROM generate_series(1, n) i);
  c.first_seq := greatest(c.first_seq, v_head - p_max_events + 1);
  IF v_bytes - c.first_start > p_max_bytes THEN
    SELECT seq, start INTO c.first_seq, c.first_start FROM {schema}.entry
    WHERE channel = c.id AND seq BETWEEN c.first_seq AND v_head AND (v_bytes - start <= p_max_bytes OR seq = v_head)
    ORDER BY seq LIMIT 1;
  END IF;
  IF c.first_seq - c.kept_seq >= 128
    OR c.first_seq > c.kept_seq AND v_bytes - c.kept_start > 2 * p_max_bytes THEN
    DELETE FROM {schema}.entry WHERE channel = c.id AND seq >= c.kept_seq AND seq < c.first_seq;
    c.kept_seq := c.first_seq;
    SELECT start INTO c.kept_start FROM {schema}.entry WHERE channel = c.id AND seq = c.first_seq;
  END IF;
  UPDATE {schema}.channel SET head_seq = v_head, head_nonce = p_nonces[n], head_at = v_now, bytes = v_bytes,
    first_seq = c.first_seq, first_start = c.first_start, kept_seq = c.kept_seq, kept_start = c.kept_start,
    lease_until = v_lease_until, max_age = p_age,
    closed_at = CASE WHEN p_nonces[n] = 0 THEN v_now END,
    expires_at = p_age + CASE WHEN p_nonces[n] = 0 THEN v_now ELSE v_lease_until END,
    purge_at = CASE WHEN p_nonces[n] = 0 THEN least(purge_at, v_now + p_age) ELSE purge_at END
  WHERE id = c.id;
  RETURN 'appended';
END $$;

-- The places of those leases that hold. A stream that is locked is just being produced to, which renews it
-- too, or ended: nobody waits for another one.
CREATE FUNCTION {schema}.renew(p_names text[], p_tokens text[], p_leases interval[])
RETURNS TABLE (i integer) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_now timestamptz := clock_timestamp();
BEGIN
  PERFORM {schema}.settle(p_names);
  UPDATE {schema}.channel c SET lease_until = v_now + k.lease, expires_at = v_now + k.lease + c.max_age
  FROM (
    SELECT d.id, j.lease FROM unnest(p_names, p_tokens, p_leases) AS j (name, token, lease)
    JOIN {schema}.channel d ON d.name = j.name AND d.lease_token = j.token AND d.closed_at IS NULL
    WHERE NOT {schema}.is_due(d, v_now)
    FOR NO KEY UPDATE OF d SKIP LOCKED
  ) k
  WHERE c.id = k.id;
  RETURN QUERY SELECT j.i::integer FROM unnest(p_names, p_tokens) WITH ORDINALITY AS j (name, token, i)
  JOIN {schema}.channel c ON c.name = j.name AND c.lease_token = j.token AND c.closed_at IS NULL
  WHERE NOT {schema}.is_due(c, v_now);
END $$;

-- The name, where it is that of a stream.
CREATE FUNCTION {schema}.end_stream(p_name text, p_wait_ms integer, p_escaped boolean, p_event text, p_data text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  c {schema}.channel := {schema}.locked(p_name, p_wait_ms);
BEGIN
  IF c.lease_token IS NOT NULL AND c.closed_at IS NULL THEN
    PERFORM {schema}.put_end(c, p_escaped, p_event, p_data);
  END IF;
  RETURN CASE WHEN c.lease_token IS NOT NULL THEN c.name END;
END $$;
`
