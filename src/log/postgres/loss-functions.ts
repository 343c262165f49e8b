import { storedMark } from '../loss-marks.js'
import { replacing } from './functions.js'

/** Lines of what is known of losses. */
const maxLosses = 8

/**
 * What to do about entries that were known to be in the log, which may have gone back to what it was.
 *
 * A mark is an entry behind the loss. Whoever notices adds a line to `losses`, the newest first: the mark's id and time, the
 * last entry that is left of the history that was lost, the `seq` of the first lost entry, and nonces. A mark that is
 * there is for this loss too unless the history that was lost may have it.
 */
export const lossFunctions = `
-- Whether a channel has an entry, or may have dropped it.
CREATE FUNCTION {schema}.has(c {schema}.channel, p_seq bigint, p_nonce bigint)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_nonce bigint;
BEGIN
  IF p_seq >= c.head_seq THEN
    RETURN p_seq = c.head_seq AND p_nonce = c.head_nonce;
  END IF;
  SELECT CASE WHEN e.seq = p_seq THEN e.nonce ELSE e.prev_nonce END INTO v_nonce FROM {schema}.entry e
  WHERE e.channel = c.id AND e.seq BETWEEN p_seq AND p_seq + 1 ORDER BY e.seq LIMIT 1;
  RETURN CASE WHEN FOUND THEN v_nonce = p_nonce ELSE p_seq < c.kept_seq END;
END $$;

-- What has become of an entry that was known p_age milliseconds ago. It is absent where all that is there began since, so
-- that no reader has a position from before.
CREATE FUNCTION {schema}.fate(c {schema}.channel, p_seq bigint, p_nonce bigint, p_age bigint)
RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF c.id IS NULL OR c.lease_token IS NOT NULL OR c.began_at > clock_timestamp() - p_age * interval '1 millisecond' THEN
    RETURN 'absent';
  END IF;
  RETURN CASE WHEN {schema}.has(c, p_seq, p_nonce) THEN 'kept' ELSE 'lost' END;
END $$;

-- The last one of the nonces is not in a channel whose row is locked: says so in the log, unless that was said.
CREATE FUNCTION {schema}.lose(INOUT c {schema}.channel, p_own bigint, p_first bigint, p_nonces bigint[], p_age bigint)
LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := greatest(clock_timestamp(), c.head_at);
  v_ms bigint := extract(epoch FROM v_now) * 1000;
  v_low integer := 0;
  v_high integer := cardinality(p_nonces);
  v_mid integer;
  v_lost bigint;
  v_all text;
  v_fork bigint;
  v_mark text;
BEGIN
  -- What something else has put there is in no log.
  c.losses := ARRAY(SELECT line FROM unnest(c.losses) line
    WHERE line ~ '^\\d{1,16}-\\d{1,10} \\d{1,16} \\d{1,16}-\\d{1,10} \\d{1,16}( \\d{1,10})+$');
  WHILE v_high - v_low > 1 LOOP
    v_mid := (v_low + v_high) / 2;
    IF {schema}.has(c, p_first + v_mid - 1, p_nonces[v_mid]) THEN v_low := v_mid; ELSE v_high := v_mid; END IF;
  END LOOP;
  v_lost := p_first + v_low;
  v_all := array_to_string(p_nonces[v_low + 1 :], ' ');
  v_fork := least(c.head_seq, v_lost - 1);
  SELECT substring(line FROM '^\\S+ \\S+') INTO v_mark FROM unnest(c.losses) line
  WHERE split_part(line, '-', 1)::bigint >= v_lost OR v_low = 0 AND split_part(line, ' ', 2)::bigint >= v_ms - p_age
  ORDER BY split_part(line, '-', 1)::bigint LIMIT 1;
  IF v_mark IS NULL THEN
    INSERT INTO {schema}.entry (channel, seq, nonce, prev_nonce, at, start, escaped, event, data)
    VALUES (c.id, c.head_seq + 1, p_own, c.head_nonce, v_now, c.bytes, false, '${storedMark.event}', '${storedMark.data}')
    ${replacing};
    c.head_seq := c.head_seq + 1;
    c.head_nonce := p_own;
    c.head_at := v_now;
    c.bytes := c.bytes + ${storedMark.event.length + storedMark.data.length};
    v_mark := c.head_seq || '-' || p_own || ' ' || v_ms;
    -- As rare as losses are, that commits are serialised by it matters little.
    PERFORM pg_notify('{schema}', c.name || ':' || c.head_seq || '-' || c.head_nonce);
  END IF;
  IF NOT EXISTS (
    SELECT FROM unnest(c.losses) line WHERE starts_with(line, v_mark || ' ') AND split_part(line, ' ', 4)::bigint <= v_lost
      AND strpos(substring(line FROM '^(?:\\S+ ){3}\\S+(.*)$') || ' ', ' ' || v_all || ' ') > 0
  ) THEN
    c.losses := (ARRAY[concat_ws(' ', v_mark, coalesce(
      v_fork || '-' || coalesce((SELECT prev_nonce FROM {schema}.entry WHERE channel = c.id AND seq = v_fork + 1),
        CASE WHEN v_fork = c.head_seq THEN c.head_nonce END),
      split_part(v_mark, ' ', 1)
    ), v_lost, v_all)] || c.losses)[1 : ${maxLosses}];
  END IF;
  UPDATE {schema}.channel SET head_seq = c.head_seq, head_nonce = c.head_nonce, head_at = c.head_at, bytes = c.bytes,
    losses = c.losses, expires_at = greatest(expires_at, v_now + max_age)
  WHERE id = c.id;
END $$;

-- Looks for entries that must be there, each in a channel of its own: their fates, and the head where one is lost.
CREATE FUNCTION {schema}.look(p_names text[], p_seqs bigint[], p_nonces bigint[], p_ages bigint[])
RETURNS TABLE (i integer, fate text, head text) LANGUAGE sql STABLE AS $$
  SELECT k.i::integer, {schema}.fate(c, k.seq, k.nonce, k.age), c.head_seq || '-' || c.head_nonce
  FROM unnest(p_names, p_seqs, p_nonces, p_ages) WITH ORDINALITY AS k (name, seq, nonce, age, i)
  LEFT JOIN {schema}.channel c ON c.name = k.name
  ORDER BY k.i
$$;

-- Looks as the function look does for the last one of the nonces, and marks its loss.
CREATE FUNCTION {schema}.mark(
  p_name text, p_own bigint, p_wait_ms integer, p_first bigint, p_nonces bigint[], p_age bigint,
  OUT fate text, OUT head text
) LANGUAGE plpgsql AS $$
DECLARE
  c {schema}.channel;
  n integer := cardinality(p_nonces);
BEGIN
  PERFORM set_config('lock_timeout', p_wait_ms::text, true);
  SELECT * INTO c FROM {schema}.channel WHERE name = p_name FOR NO KEY UPDATE;
  fate := {schema}.fate(c, p_first + n - 1, p_nonces[n], p_age);
  IF fate = 'lost' THEN
    c := {schema}.lose(c, p_own, p_first, p_nonces, p_age);
  END IF;
  head := c.head_seq || '-' || c.head_nonce;
END $$;
`
