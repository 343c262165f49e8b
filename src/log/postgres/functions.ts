/** Behind an INSERT of entries: what something else has put behind the head is in no log. */
export const replacing = `ON CONFLICT (channel, seq) DO UPDATE SET nonce = excluded.nonce, prev_nonce = excluded.prev_nonce,
      at = excluded.at, start = excluded.start, key = excluded.key, escaped = excluded.escaped,
      event = excluded.event, data = excluded.data`

/**
 * What is atomic. A function is one statement, and commits by itself; but each statement in it sees what was
 * committed before it began. So all that is decided once the channel's row is locked is decided by what
 * the append before it has left, which one statement with several parts could not see.
 *
 * Times are the server's, and never go back within a channel.
 */
export const functions = `
-- Makes channels that are not there, and keeps those that would expire within their age. Streams are kept by
-- their producers alone; what is due of them is done.
CREATE FUNCTION {schema}.ensure(p_names text[], p_origins bigint[], p_age interval)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
BEGIN
  IF cardinality(p_names) = (
    SELECT count(*) FROM {schema}.channel c
    WHERE c.name = ANY (p_names) AND (c.lease_token IS NULL AND c.expires_at >= v_now + p_age
      OR c.lease_token IS NOT NULL AND NOT {schema}.is_due(c, v_now))
  ) THEN
    RETURN;
  END IF;
  PERFORM {schema}.settle(p_names);
  -- In one order, so that two who make the same ones do not wait for each other.
  INSERT INTO {schema}.channel (name, head_nonce, head_at, first_at, max_age, expires_at, purge_at)
  SELECT k.name, k.origin, v_now, v_now, p_age, v_now + p_age * 1.25, v_now + p_age * 1.25
  FROM unnest(p_names, p_origins) AS k (name, origin)
  WHERE NOT EXISTS (SELECT FROM {schema}.channel c WHERE c.name = k.name)
  ORDER BY k.name COLLATE "C"
  ON CONFLICT (name) DO NOTHING;
  -- Whoever has locked one keeps it too.
  UPDATE {schema}.channel c
  SET expires_at = v_now + p_age * 1.25, max_age = p_age,
    closed_at = CASE WHEN c.expires_at > v_now THEN c.closed_at END
  WHERE c.id IN (
    SELECT d.id FROM {schema}.channel d
    WHERE d.name = ANY (p_names) AND d.expires_at < v_now + p_age AND d.lease_token IS NULL
    FOR NO KEY UPDATE SKIP LOCKED
  );
END $$;

-- Appends a batch. Key, event and data of entry i are the bytes of p_payload from p_at[3i-2], p_at[3i-1]
-- and p_at[3i] on; p_flags[i] has 1 for a key, 2 for an event and 4 for what is escaped.
--
-- A producer appends its batches to a channel one by one, and numbers them. The row that it has here says
-- which was the last one and what became of it: so a batch whose connection broke can be sent again,
-- whatever arrives first, and however late the other one comes.
--
-- p_must is null, or seq and nonce of an entry that must be there, and for how many milliseconds it was known: where it
-- is lost, that is marked before anything is appended.
CREATE FUNCTION {schema}.append(
  p_name text, p_origin bigint, p_producer bigint, p_batch bigint, p_attempt integer, p_wait_ms integer,
  p_nonces bigint[], p_at integer[], p_flags integer[], p_payload bytea,
  p_max_events bigint, p_max_bytes bigint, p_age interval, p_must bigint[] DEFAULT NULL,
  OUT status text, OUT attempt integer, OUT first_seq text, OUT prev_nonce text, OUT known text[], OUT lost boolean
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  c {schema}.channel;
  p {schema}.producer;
  v_now timestamptz;
  v_skip integer[];
  v_count bigint;
  v_size bigint;
  v_last integer;
  v_head bigint;
  v_bytes bigint;
BEGIN
  PERFORM set_config('lock_timeout', p_wait_ms::text, true);
  LOOP
    SELECT * INTO c FROM {schema}.channel WHERE name = p_name FOR NO KEY UPDATE;
    EXIT WHEN FOUND AND (c.lease_token IS NULL OR NOT {schema}.is_due(c, clock_timestamp()));
    PERFORM {schema}.ensure(ARRAY[p_name], ARRAY[p_origin], p_age);
  END LOOP;
  IF c.lease_token IS NOT NULL THEN
    status := CASE WHEN c.closed_at IS NULL THEN 'produced' ELSE 'closed' END;
    RETURN;
  END IF;
  v_now := greatest(clock_timestamp(), c.head_at);
  SELECT * INTO p FROM {schema}.producer WHERE channel = c.id AND id = p_producer;
  IF p.batch >= p_batch THEN
    status := CASE WHEN p.batch = p_batch THEN 'found' ELSE 'late' END;
    attempt := p.attempt;
    first_seq := p.first_seq;
    prev_nonce := p.prev_nonce;
    known := p.known;
    RETURN;
  END IF;
  IF c.closed_at IS NOT NULL AND c.expires_at > v_now THEN
    status := 'closed';
    RETURN;
  END IF;
  IF p_must IS NOT NULL AND {schema}.fate(c, p_must[1], p_must[2], p_must[3]) = 'lost' THEN
    c := {schema}.lose(c, p_origin, p_must[1], p_must[2:2], p_must[3]);
    v_now := c.head_at;
    lost := true;
  END IF;
  IF 1 = ANY (SELECT f & 1 FROM unnest(p_flags) f) THEN
    SELECT array_agg(i), array_agg(i || ' ' || seq || '-' || nonce || ' ' || seq - 1 || '-' || prev_nonce)
    INTO v_skip, known
    FROM generate_subscripts(p_nonces, 1) i
    JOIN {schema}.entry e ON e.channel = c.id
      AND e.key = substring(p_payload FROM p_at[3*i-2] + 1 FOR p_at[3*i-1] - p_at[3*i-2])
    WHERE p_flags[i] & 1 = 1 AND e.key IS NOT NULL
      AND e.seq BETWEEN c.first_seq AND c.head_seq AND e.at > v_now - p_age;
  END IF;
  IF cardinality(p_nonces) = 1 AND v_skip IS NULL THEN
    v_count := 1;
    v_size := p_at[4] - p_at[2];
    v_last := 1;
  ELSE
    SELECT count(*), coalesce(sum(p_at[3*i+1] - p_at[3*i-1]), 0), max(i) INTO v_count, v_size, v_last
    FROM generate_subscripts(p_nonces, 1) i WHERE v_skip IS NULL OR i <> ALL (v_skip);
  END IF;
  status := 'appended';
  attempt := p_attempt;
  first_seq := c.head_seq + 1;
  prev_nonce := c.head_nonce;
  INSERT INTO {schema}.producer AS o (channel, id, batch, attempt, first_seq, prev_nonce, known, used_at)
  VALUES (c.id, p_producer, p_batch, p_attempt, c.head_seq + 1, c.head_nonce, known, v_now)
  ON CONFLICT (channel, id) DO UPDATE SET batch = excluded.batch, attempt = excluded.attempt,
    first_seq = excluded.first_seq, prev_nonce = excluded.prev_nonce, known = excluded.known,
    used_at = excluded.used_at;
  IF v_count = 0 THEN
    RETURN;
  END IF;
  IF cardinality(p_nonces) = 1 THEN
    -- As most are: a fifth faster than by what numbers several.
    INSERT INTO {schema}.entry (channel, seq, nonce, prev_nonce, at, start, key, escaped, event, data)
    VALUES (c.id, c.head_seq + 1, p_nonces[1], c.head_nonce, v_now, c.bytes,
      CASE WHEN p_flags[1] & 1 = 1 THEN substring(p_payload FROM 1 FOR p_at[2]) END, p_flags[1] & 4 = 4,
      CASE WHEN p_flags[1] & 2 = 2
        THEN convert_from(substring(p_payload FROM p_at[2] + 1 FOR p_at[3] - p_at[2]), 'UTF8') END,
      convert_from(substring(p_payload FROM p_at[3] + 1), 'UTF8'))
    ${replacing};
  ELSE
    INSERT INTO {schema}.entry (channel, seq, nonce, prev_nonce, at, start, key, escaped, event, data)
    SELECT c.id, c.head_seq + row_number() OVER w, x.nonce, lag(x.nonce, 1, c.head_nonce) OVER w, v_now,
      c.bytes + sum(x.size) OVER w - x.size,
      CASE WHEN x.flags & 1 = 1 THEN substring(p_payload FROM p_at[3*i-2] + 1 FOR p_at[3*i-1] - p_at[3*i-2]) END,
      x.flags & 4 = 4,
      CASE WHEN x.flags & 2 = 2
        THEN convert_from(substring(p_payload FROM p_at[3*i-1] + 1 FOR p_at[3*i] - p_at[3*i-1]), 'UTF8') END,
      convert_from(substring(p_payload FROM p_at[3*i] + 1 FOR p_at[3*i+1] - p_at[3*i]), 'UTF8')
    FROM (
      SELECT i, p_nonces[i] AS nonce, p_flags[i] AS flags, p_at[3*i+1] - p_at[3*i-1] AS size
      FROM generate_subscripts(p_nonces, 1) i WHERE v_skip IS NULL OR i <> ALL (v_skip)
    ) x
    WINDOW w AS (ORDER BY i)
    ${replacing};
  END IF;
  v_head := c.head_seq + v_count;
  v_bytes := c.bytes + v_size;
  c.first_seq := greatest(c.first_seq, v_head - p_max_events + 1);
  IF v_bytes - c.first_start > p_max_bytes OR c.first_at <= v_now - p_age THEN
    SELECT seq, start, at INTO c.first_seq, c.first_start, c.first_at FROM {schema}.entry
    WHERE channel = c.id AND seq BETWEEN c.first_seq AND v_head AND at > v_now - p_age
      AND (v_bytes - start <= p_max_bytes OR seq = v_head)
    ORDER BY seq LIMIT 1;
  END IF;
  IF c.first_seq - c.kept_seq >= 128
    OR c.first_seq > c.kept_seq AND v_bytes - c.kept_start > 2 * p_max_bytes THEN
    DELETE FROM {schema}.entry WHERE channel = c.id AND seq >= c.kept_seq AND seq < c.first_seq;
    c.kept_seq := c.first_seq;
    SELECT start INTO c.kept_start FROM {schema}.entry WHERE channel = c.id AND seq = c.first_seq;
  END IF;
  UPDATE {schema}.channel SET head_seq = v_head, head_nonce = p_nonces[v_last], head_at = v_now,
    bytes = v_bytes, first_seq = c.first_seq, first_start = c.first_start, first_at = c.first_at,
    kept_seq = c.kept_seq, kept_start = c.kept_start, max_age = p_age, closed_at = NULL,
    expires_at = CASE WHEN c.expires_at < v_now + p_age THEN v_now + p_age * 1.25 ELSE c.expires_at END
  WHERE id = c.id;
END $$;

-- The heads of channels.
CREATE FUNCTION {schema}.heads(p_names text[], p_origins bigint[], p_age interval)
RETURNS TABLE (i integer, head text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  PERFORM {schema}.ensure(p_names, p_origins, p_age);
  RETURN QUERY SELECT k.i::integer, c.head_seq || '-' || c.head_nonce
  FROM unnest(p_names) WITH ORDINALITY AS k (name, i)
  JOIN {schema}.channel c ON c.name = k.name;
END $$;

-- Pages of channels, in one look. p_from[i] is null for the earliest entry, -n for the last n, or the seq of an
-- entry: which comes too where it is kept, without its data, as what tells whether it is still the same one.
CREATE FUNCTION {schema}.pages(
  p_names text[], p_origins bigint[], p_from bigint[], p_max_events bigint, p_max_bytes bigint, p_age interval
) RETURNS TABLE (
  i integer, head text, id text, prev text, escaped boolean, event text, data text
) LANGUAGE plpgsql
-- Along the index, whatever a plan without values expects of the limit.
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
BEGIN
  PERFORM {schema}.ensure(p_names, p_origins, p_age);
  RETURN QUERY SELECT k.i::integer, c.head_seq || '-' || c.head_nonce,
    e.seq || '-' || e.nonce, e.seq - 1 || '-' || e.prev_nonce, e.escaped, e.event,
    CASE WHEN e.seq <> k.after THEN e.data END
  FROM unnest(p_names, p_from) WITH ORDINALITY AS j (name, after, i)
  CROSS JOIN LATERAL (SELECT j.name, coalesce(j.after, -1) AS after, j.after AS given, j.i) k
  JOIN {schema}.channel c ON c.name = k.name
  LEFT JOIN LATERAL (
    SELECT l.*, min(l.start) FILTER (WHERE l.seq <> k.after) OVER () AS base FROM (
      SELECT * FROM {schema}.entry f
      WHERE f.channel = c.id AND (c.lease_token IS NOT NULL OR f.at > clock_timestamp() - p_age)
        AND f.seq <= c.head_seq AND f.seq >= greatest(c.first_seq, CASE WHEN k.given < 0 THEN c.head_seq + k.given + 1 ELSE k.given END)
      ORDER BY f.seq LIMIT p_max_events + 1
    ) l
  ) e ON e.seq = k.after OR e.start - e.base < p_max_bytes
  ORDER BY k.i, e.seq;
END $$;

CREATE FUNCTION {schema}.close(p_name text, p_origin bigint, p_wait_ms integer, p_age interval)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_closed_at timestamptz;
BEGIN
  PERFORM set_config('lock_timeout', p_wait_ms::text, true);
  LOOP
    PERFORM {schema}.ensure(ARRAY[p_name], ARRAY[p_origin], p_age);
    UPDATE {schema}.channel
    SET closed_at = CASE WHEN lease_token IS NULL THEN coalesce(closed_at, clock_timestamp()) ELSE closed_at END
    WHERE name = p_name RETURNING closed_at INTO v_closed_at;
    IF FOUND THEN
      RETURN CASE WHEN v_closed_at IS NULL THEN 'produced' ELSE 'closed' END;
    END IF;
  END LOOP;
END $$;

CREATE FUNCTION {schema}.forget(p_name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_id bigint;
BEGIN
  DELETE FROM {schema}.channel WHERE name = p_name RETURNING id INTO v_id;
  DELETE FROM {schema}.entry WHERE channel = v_id;
  DELETE FROM {schema}.producer WHERE channel = v_id;
END $$;

-- Deletes what is past its age in some channels, and channels that nobody has used for their age. Whoever else
-- purges takes other ones. Producers are remembered for an hour.
CREATE FUNCTION {schema}.purge(
  p_channels integer DEFAULT 100, p_entries integer DEFAULT 10000,
  OUT channels integer, OUT entries bigint
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  c {schema}.channel;
  f {schema}.entry;
  v_now timestamptz;
  v_until bigint;
  v_count bigint;
BEGIN
  channels := 0;
  entries := 0;
  FOR c IN
    SELECT * FROM {schema}.channel WHERE purge_at <= clock_timestamp()
    ORDER BY purge_at LIMIT p_channels FOR NO KEY UPDATE SKIP LOCKED
  LOOP
    EXIT WHEN entries >= p_entries;
    channels := channels + 1;
    v_now := greatest(clock_timestamp(), c.head_at);
    f := NULL;
    IF c.expires_at > v_now THEN
      SELECT * INTO f FROM {schema}.entry
      WHERE channel = c.id AND seq BETWEEN c.first_seq AND c.head_seq
        AND (c.lease_token IS NOT NULL OR at > v_now - c.max_age) ORDER BY seq LIMIT 1;
    END IF;
    v_until := coalesce(f.seq, c.head_seq + 1);
    DELETE FROM {schema}.entry WHERE channel = c.id AND seq >= c.kept_seq
      AND seq < least(v_until, c.kept_seq + p_entries);
    GET DIAGNOSTICS v_count = ROW_COUNT;
    entries := entries + v_count;
    IF v_until > c.kept_seq + p_entries THEN
      -- The rest is due at once.
      UPDATE {schema}.channel SET first_seq = v_until, kept_seq = c.kept_seq + p_entries WHERE id = c.id;
    ELSIF c.expires_at <= v_now THEN
      -- With what something else has put behind the head.
      DELETE FROM {schema}.entry WHERE channel = c.id;
      DELETE FROM {schema}.producer WHERE channel = c.id;
      DELETE FROM {schema}.channel WHERE id = c.id;
    ELSE
      DELETE FROM {schema}.producer WHERE channel = c.id AND used_at < v_now - interval '1 hour';
      UPDATE {schema}.channel SET first_seq = v_until, kept_seq = v_until,
        first_start = coalesce(f.start, bytes), kept_start = coalesce(f.start, bytes),
        first_at = coalesce(f.at, v_now),
        purge_at = greatest(v_now + max_age * 0.25,
          CASE WHEN lease_token IS NULL THEN least(expires_at, f.at + max_age) ELSE expires_at END)
      WHERE id = c.id;
    END IF;
  END LOOP;
END $$;
`
