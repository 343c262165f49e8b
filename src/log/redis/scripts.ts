import { createHash } from 'node:crypto'
import { encodeEnding } from '../../core/stream-end.js'
import { storedMark } from '../loss-marks.js'
import { packEntry } from './format.js'

/** A Lua script, and the name that Redis keeps it under. */
export interface Script {
  readonly source: string
  readonly sha: string
}

/** Limits of a channel, in the scripts' units. */
export interface ScriptLimits {
  readonly maxEvents: number
  /** Bytes of UTF-8. */
  readonly maxBytes: number
  readonly maxAgeMs: number
  /** A cluster has sharded pub/sub, which stays on the channel's own node. */
  readonly isCluster: boolean
  /** Whether entries are shown only once they are on replicas. */
  readonly waits: boolean
  /** See `KeyPrefix`. */
  readonly liveEnd: string
}

export interface Scripts {
  readonly append: Script
  readonly read: Script
  readonly heads: Script
  readonly close: Script
  readonly confirm: Script
  readonly mark: Script
}

/** Live messages above this many bytes tell only that there is something to read. */
const maxMessageBytes = 65_536

/** Below this, trimming by whole nodes of the stream would keep a multiple of what is asked. */
export const exactTrimming = 200

/** Lines of what is known of losses. */
const maxLosses = 8

const orphaned = packEntry(encodeEnding({ state: 'orphaned' }))

const markText = packEntry(storedMark)

/**
 * What every script has. Keys of a channel are the stream of entries, the hash of what is known
 * about it, and the sorted set of idempotency keys by `seq`; PROTOCOL.md describes them.
 *
 * - `h` is the head, `c` the bytes ever appended, `x` is set when the channel is closed.
 * - `b` and `t` are the bytes before, and the time of, the earliest entry when it was last looked at:
 *   never more than the truth, so that what is to be trimmed is looked for only when there may be any.
 * - `i` is when the channel began.
 * - `f` lists producers that have had to repeat appends: see `append`.
 * - `w`, with `waitReplicas`, is the last entry that is known to be on replicas, while there are others behind it: those
 *   are told to nobody, and no page or head has them. See `confirm`.
 * - `r` lists what is known of losses: see `losses`.
 * - A stream with one producer has `p`, whose token; `o`, its origin; `s`, when it started; `a`, the
 *   milliseconds that it is kept; and until it ends `l`, when its lease runs out, then `e`, its last entry.
 */
export const common = ({
  maxEvents,
  maxBytes,
  maxAgeMs,
  isCluster,
  waits,
  liveEnd,
}: ScriptLimits) => `
local maxEvents, maxBytes, maxAgeMs = ${maxEvents}, ${maxBytes}, ${maxAgeMs}
local maxSeq = 9007199254740991
local function whole(n) return string.format('%.0f', n) end
-- A number of bytes or milliseconds; 0 for what is none.
local function count(text)
  local n = tonumber(text)
  return n and n >= 0 and n < 1e15 and math.floor(n) or 0
end
local function seqOf(id) return tonumber(string.match(id, '^%d+')) end
local function nonceOf(id) return string.match(id, '%d+$') end
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
-- Of an entry: the id before it, its time, and the bytes appended before it; nothing of one that is not ours.
local function parse(entry)
  if entry[2][1] ~= 'e' or #entry[2] > 2 then return end
  local nonce, at, start = string.match(entry[2][2], '^(%d+) (%d+) (%d+)\\n')
  if nonce then return whole(seqOf(entry[1]) - 1) .. '-' .. nonce, tonumber(at), tonumber(start) end
end
-- The first entry of ours in a range, looked for among so many at most.
local function find(stream, from, to)
  for _, entry in ipairs(redis.call('XRANGE', stream, from, to, 'COUNT', 256)) do
    if parse(entry) then return entry end
  end
end
-- The values of a channel's hash, the head first; nothing when that is none, as the channel is then made anew.
local function load(meta, ...)
  local values = redis.call('HMGET', meta, 'h', ...)
  local seq, nonce = string.match(values[1] or '', '^(%d+)-(%d+)$')
  if seq and tonumber(seq) <= maxSeq and tonumber(nonce) <= 4294967295
    and not string.find(seq, '^0%d') and not string.find(nonce, '^0%d') then
    return unpack(values)
  end
end
-- A channel that is not there, whose hash alone was evicted, or has no head that could be one.
local function create(stream, meta, keys, nonce, at)
  redis.call('DEL', stream, meta, keys)
  local head = '0-' .. nonce
  redis.call('HSET', meta, 'h', head, 'c', 0, 'b', 0, 't', whole(at), 'i', whole(at))
  redis.call('PEXPIRE', meta, maxAgeMs)
  return head
end
local function trim(stream, meta, head, bytes, at)
  local kept, oldest = bytes, at
  local cut
  repeat
    local entries = redis.call('XRANGE', stream, '-', '+', 'COUNT', 8)
    for _, entry in ipairs(entries) do
      local _, time, start = parse(entry)
      if time and at - time < maxAgeMs and (bytes - start <= maxBytes or entry[1] == head) then
        kept, oldest, cut = start, time, entry[1]
        break
      end
    end
    if #entries > 0 then
      local past = seqOf(entries[#entries][1]) + 1
      if cut or past <= maxSeq then
        redis.call('XTRIM', stream, 'MINID', cut or whole(past))
      else
        redis.call('DEL', stream)
      end
    end
  until cut or #entries == 0
  redis.call('HSET', meta, 'b', whole(kept), 't', whole(oldest))
end
-- Adds an entry behind the head. What something else has put there is in no log, and goes: then this is true.
local function add(stream, head, ...)
  local added = redis.pcall('XADD', stream, ...)
  if type(added) ~= 'table' or not added.err then return false end
  if string.find(added.err, 'equal or smaller', 1, true) or string.find(added.err, 'exhausted', 1, true) then
    local others = redis.call('XRANGE', stream, '(' .. head, '+', 'COUNT', 1000)
    if #others < 1000 then
      for _, other in ipairs(others) do redis.call('XDEL', stream, other[1]) end
      redis.call('XSETID', stream, head)
    else
      redis.call('DEL', stream)
    end
  end
  redis.call('XADD', stream, ...)
  return true
end
-- Does what belongs to an append that has begun. Where it fails, what was added stays.
local function complete(rest)
  local done, problem = pcall(rest)
  if done then return end
  return redis.error_reply('PARTLY ' .. tostring(type(problem) == 'table' and problem.err or problem))
end
local function liveOf(meta) return string.sub(meta, 1, -2) .. 'l${liveEnd}' end
local function publish(live, head, message, messageBytes)
  redis.call('${isCluster ? 'SPUBLISH' : 'PUBLISH'}', live,
    messageBytes > ${maxMessageBytes} and '*' .. head or table.concat(message))
end
${waits ? hiding : 'local tell = publish'}
local function keep(stream, meta, age)
  age = count(age)
  age = whole(age > 0 and age or ${maxAgeMs})
  redis.call('PEXPIRE', stream, age)
  redis.call('PEXPIRE', meta, age)
end
-- Appends the last entry of a stream.
local function finish(stream, meta, head, units, text, at)
  -- A user who may not do this has done nothing yet.
  redis.call('HDEL', meta, 'l')
  local bytes, age = unpack(redis.call('HMGET', meta, 'c', 'a'))
  bytes = count(bytes)
  local id = whole(seqOf(head) + 1) .. '-0'
  local stored = nonceOf(head) .. ' ' .. whole(at) .. ' ' .. whole(bytes) .. '\\n' .. text
  add(stream, head, id, 'e', stored)
  redis.call('HSET', meta, 'h', id, 'c', whole(bytes + #text), 'x', 1, 'e', stored)
  keep(stream, meta, age)
  -- Scripts for many channels are not given where to tell of them. Who may not be told looks now and then.
  pcall(tell, liveOf(meta), id, { head, '\\n', id, ' ', units, '\\n', text }, #text)
  return id
end
-- Ends a stream whose lease has run out: its head, and whether it was so.
local function orphan(stream, meta, head, lease, at)
  if at < count(lease) then return head, false end
  return finish(stream, meta, head, ${orphaned.length}, ${JSON.stringify(orphaned)}, at), true
end
`

/** Where entries are shown once they are on replicas. */
const hiding = `
local function shownOf(meta, head)
  local shown = redis.call('HGET', meta, 'w')
  if shown and string.find(shown, '^%d+%-%d+$') and seqOf(shown) < seqOf(head) then return shown end
  return head
end
-- The head that readers see, and the one that is hidden from them.
local function headsOf(meta, head)
  local shown = shownOf(meta, head)
  return shown == head and head or shown .. ' ' .. head
end
-- A message begins with the entry before it. One without entries tells of something else.
local function tell(live, head, message, messageBytes)
  local meta, before = string.gsub(live, 'l%d*$', 'm'), message[1]
  if not before then return publish(live, head, message, messageBytes) end
  if shownOf(meta, before) == before then redis.call('HSET', meta, 'w', before) end
end
`

/** Of a page: who has an entry that is hidden here was shown it, by a master that this one has taken the place of. */
const goneOn = `
  if result[2] == '' and seqOf(from) > seqOf(shown) then
    result[1] = from == head and head or from .. ' ' .. head
    return result
  end
`

/**
 * What to do about entries that were known to be in the log, which may have gone back to what it was.
 *
 * A mark is an entry behind the loss. Whoever notices adds a line to `r`, the newest first: the mark's id and time, the
 * last entry that is left of the history that was lost, the `seq` of the first lost entry, and nonces. A mark that is
 * there is for this loss too unless the history that was lost may have it.
 */
const losses = `
-- Whether the log has an entry, or may have dropped it for its age.
local function has(stream, head, seq, nonce)
  local id = whole(seq) .. '-' .. nonce
  if id == head then return true end
  local here = find(stream, whole(seq), whole(seq))
  if here or seq >= seqOf(head) then return here and here[1] == id end
  local first = find(stream, '-', '+')
  return not first or seq < seqOf(first[1]) - 1 or (parse(first)) == id
end
-- Whether all that is there began since something was known, so that no reader has a position from before.
local function isNew(meta, at, age) return count(redis.call('HGET', meta, 'i')) > at - age end
-- The last one of the nonces is not there. What is to be written: a mark, unless there is one, and the lines of r.
local function lossOf(stream, meta, head, at, own, first, nonces, age)
  local low, high = 0, #nonces
  while high - low > 1 do
    local mid = math.floor((low + high) / 2)
    if has(stream, head, first + mid - 1, nonces[mid]) then low = mid else high = mid end
  end
  local lost, all = first + low, table.concat(nonces, ' ', low + 1)
  local loss, lines = {}, {}
  for line in string.gmatch(redis.call('HGET', meta, 'r') or '', '[^\\n]+') do
    local id, time = string.match(line, '^(%d+-%d+) (%d+) ')
    if id then
      local isSince = seqOf(id) >= lost or low == 0 and tonumber(time) >= at - age
      if isSince and (not loss.id or seqOf(id) < seqOf(loss.id)) then loss.id, loss.at = id, time end
      lines[#lines + 1] = line
    end
  end
  if not loss.id then
    loss.id, loss.at, loss.isNew = whole(seqOf(head) + 1) .. '-' .. own, whole(at), true
  end
  for _, line in ipairs(lines) do
    local id, seq, others = string.match(line, '^(%S+) %d+ %S+ (%d+) (.*)$')
    if id == loss.id and tonumber(seq) <= lost and string.find(' ' .. others .. ' ', ' ' .. all .. ' ', 1, true) then
      return loss
    end
  end
  local fork, forkSeq = head, math.min(seqOf(head), lost - 1)
  if forkSeq < seqOf(head) then
    local behind = find(stream, whole(forkSeq + 1), whole(forkSeq + 1))
    fork = behind and (parse(behind)) or loss.id
  end
  table.insert(lines, 1, loss.id .. ' ' .. loss.at .. ' ' .. fork .. ' ' .. whole(lost) .. ' ' .. all)
  loss.lines = table.concat(lines, '\\n', 1, math.min(#lines, ${maxLosses}))
  return loss
end
local function markEntry(head, at, bytes)
  return nonceOf(head) .. ' ' .. whole(at) .. ' ' .. whole(bytes) .. '\\n' .. ${JSON.stringify(markText)}
end
local function markMessage(id) return '\\n' .. id .. ' ${markText.length}\\n' .. ${JSON.stringify(markText)} end
`

/**
 * Appends entries. `ARGV`: a nonce for a new channel or for a mark, the live channel, the producer, its epoch, and
 * since how many milliseconds this append may have been under way (empty the first time), `1`
 * when appends were sent in order, and nothing or an entry that must be there and for how many milliseconds it was
 * known; then for each entry its nonce and those of earlier tries, idempotency key or nothing, length in UTF-16 units,
 * and packed text.
 *
 * An append whose connection broke may have arrived, may be on its way still, or may be lost. The
 * producer repeats it in its next epoch: what is found in the stream was appended. What is not is
 * appended now, and a fence keeps what is still on its way in an older epoch from being appended
 * after all. Each try has a nonce of its own: after a failover that lost the earlier one, the same id
 * would stand behind other entries, and whoever had it from before would miss them without a gap.
 *
 * Appends of one connection arrive in order. So the first of an epoch that is not found settles it for
 * the others, as long as none of them was refused for a while.
 *
 * @returns `id, prevId, '1' when the key was known` for each entry, `'lost'` when the entry that must be there was
 *   lost, and `'others'` when something else's entries were in the way; or `'closed'`, `'produced'`, or `'fenced'`. An error after which something is in the stream
 *   begins with `PARTLY`.
 */
const append = (limits: ScriptLimits) => `${common(limits)}${losses}
local stream, meta, keys = KEYS[1], KEYS[2], KEYS[3]
local live, producer, epoch, since, isOrdered = ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6]
local at = now()
local head, bytes, before, oldest, closed, fences, lease = load(meta, 'c', 'b', 't', 'x', 'f', 'l')
if not head then
  head, bytes, before, oldest, fences = create(stream, meta, keys, ARGV[1], at), 0, 0, at, false
elseif lease then
  local _, isOver = orphan(stream, meta, head, lease, at)
  return isOver and 'closed' or 'produced'
end
bytes, before, oldest = count(bytes), count(before), count(oldest)
local known = {}
local fence = fences and tonumber(string.match(fences, ' ' .. producer .. ':(%d+)'))
if since == '' then
  if fence and fence > epoch then return 'fenced' end
elseif isOrdered == '' or fence ~= epoch then
  local from, last = at - tonumber(since), '+'
  repeat
    local entries = redis.call('XREVRANGE', stream, last, '-', 'COUNT', 16)
    local time = at
    for _, entry in ipairs(entries) do
      local prev, itsTime = parse(entry)
      if prev then
        time = itsTime
        known[nonceOf(entry[1])] = { entry[1], prev, '0' }
      end
      last = '(' .. entry[1]
    end
  until #entries < 16 or time < from
end
local function earlierTry(nonces)
  for nonce in string.gmatch(nonces, '%d+') do
    if known[nonce] then return known[nonce] end
  end
end
if closed and not earlierTry(ARGV[8] or '') then return 'closed' end
-- Nothing is written before all is read that may be refused.
local result, added, own, keyed = {}, {}, {}, {}
local message, messageBytes, first = { head }, 0, head
local wanted, wantedNonce, age = string.match(ARGV[7], '^(%d+)-(%d+) (%d+)$')
wanted = tonumber(wanted)
local loss
if wanted and not has(stream, head, wanted, wantedNonce) and not isNew(meta, at, age) then
  loss = lossOf(stream, meta, head, at, ARGV[1], wanted, { wantedNonce }, age)
  if loss.isNew then
    added[1], added[2], message[2] = loss.id, markEntry(head, at, bytes), markMessage(loss.id)
    head, bytes, messageBytes = loss.id, bytes + ${markText.length}, ${markText.length}
  end
end
local seq, nonce = seqOf(head), nonceOf(head)
for i = 8, #ARGV, 4 do
  local nonces, key, units, text = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local found = earlierTry(nonces) or own[key]
  if not found and key ~= '' then
    local place = redis.call('ZSCORE', keys, key)
    local entry = place and string.find(place, '^%d+$') and find(stream, place, place)
    if entry then found = { entry[1], (parse(entry)), '1' } end
  end
  if not found then
    local header = nonce .. ' ' .. whole(at) .. ' ' .. whole(bytes) .. '\\n'
    seq, nonce, bytes = seq + 1, string.match(nonces, '^%d+'), bytes + #text
    local id = whole(seq) .. '-' .. nonce
    found = { id, head, '0' }
    if key ~= '' then
      own[key] = { id, head, '1' }
      keyed[#keyed + 1], keyed[#keyed + 2] = seq, key
    end
    head = id
    added[#added + 1], added[#added + 2] = id, header .. text
    messageBytes = messageBytes + #text
    message[#message + 1] = '\\n' .. id .. ' ' .. units .. '\\n' .. text
  end
  result[#result + 1], result[#result + 2], result[#result + 3] = found[1], found[2], found[3]
end
if loss then result[#result + 1] = 'lost' end
if #added == 0 then return result end
local function put(i)
  return add(stream, first, 'MAXLEN', '${limits.maxEvents < exactTrimming ? '=' : '~'}', maxEvents, added[i], 'e', added[i + 1])
end
if put(1) then result[#result + 1] = 'others' end
return complete(function()
  for i = 3, #added, 2 do put(i) end
  redis.call('HSET', meta, 'h', head, 'c', whole(bytes))
  if loss and loss.lines then redis.call('HSET', meta, 'r', loss.lines) end
  if since ~= '' and fence ~= epoch then
    local others = string.gsub(fences or '', ' ' .. producer .. ':%d+', '')
    redis.call('HSET', meta, 'f', string.sub(' ' .. producer .. ':' .. whole(epoch) .. others, 1, 400))
  end
  redis.call('PEXPIRE', stream, maxAgeMs)
  redis.call('PEXPIRE', meta, maxAgeMs)
  if #keyed > 0 then
    redis.call('ZADD', keys, unpack(keyed))
    redis.call('ZREMRANGEBYSCORE', keys, '-inf', seq - maxEvents)
    redis.call('PEXPIRE', keys, maxAgeMs)
  end
  if bytes - before > maxBytes or at - oldest > maxAgeMs then
    trim(stream, meta, head, bytes, at)
  end
  tell(live, head, message, messageBytes)
end) or result
`

/**
 * Reads a page. `ARGV`: `earliest`, the number of the last entries wanted, or an id; entries and bytes of a page at
 * most; a nonce for a new channel.
 *
 * @returns The head, the gap or nothing, how many entries were left out that are something else's, what is known of losses
 *   where the gap is `unknown`, then id and text of each entry. Behind the head and a space, the one that is hidden.
 */
const read = (limits: ScriptLimits) => `${common(limits)}
local stream, meta, keys = KEYS[1], KEYS[2], KEYS[3]
local from, maxEntries, maxLength = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local at = now()
local head, bytes, oldest, age = load(meta, 'c', 't', 'a')
if not head then
  return { create(stream, meta, keys, ARGV[4], at), string.find(from, '-', 1, true) and 'unknown' or '', 0, '' }
end
if age then
  local lease = redis.call('HGET', meta, 'l')
  if lease then head = orphan(stream, meta, head, lease, at) end
  keep(stream, meta, age)
else
  redis.call('PEXPIRE', meta, maxAgeMs)
  if at - count(oldest) > maxAgeMs then trim(stream, meta, head, count(bytes), at) end
end
${limits.waits ? 'local shown, heads = shownOf(meta, head), headsOf(meta, head)' : 'local shown, heads = head, head'}
local result, start = { heads, '', 0, '' }, '-'
if from == shown then return result end
if string.find(from, '-', 1, true) then
  local first = find(stream, from, from)
  if first then
    start = '(' .. from
  else
    first = find(stream, '-', '+')
    local prev = first and (parse(first)) or head
    if from ~= prev then result[2] = seqOf(from) < seqOf(prev) and 'trimmed' or 'unknown' end
    if result[2] == 'unknown' then result[4] = redis.call('HGET', meta, 'r') or '' end
  end
  ${limits.waits ? goneOn : ''}
elseif from ~= 'earliest' then
  start = whole(math.max(1, seqOf(shown) - tonumber(from) + 1))
end
-- Few at first, since each may be large; then as many as fit, if they are like those.
local length, found, looked, step = 0, 0, 0, 4
while found < maxEntries and (length < maxLength or found == 0) and looked < 4096 do
  local want = math.min(step, maxEntries - found)
  local entries = redis.call('XRANGE', stream, start, ${limits.waits ? 'shown' : "'+'"}, 'COUNT', want)
  for _, entry in ipairs(entries) do
    if length >= maxLength and found > 0 then break end
    if seqOf(entry[1]) > maxSeq then return result end
    start, looked = '(' .. entry[1], looked + 1
    if entry[2][1] == 'e' then
      result[#result + 1], result[#result + 2] = entry[1], entry[2][2]
      length, found = length + #entry[2][2], found + 1
    else
      result[3] = result[3] + 1
    end
  end
  if #entries < want then break end
  step = length == 0 and 128 or math.max(1, math.min(128, math.ceil((maxLength - length) * found / length)))
end
return result
`

/**
 * Tells heads, and keeps the channels. `ARGV`: a nonce for each channel that is new. Behind a head and a space, the one
 * that is hidden.
 */
const heads = (limits: ScriptLimits) => `${common(limits)}
local result = {}
for i = 1, #ARGV do
  local stream, meta, keys = KEYS[3 * i - 2], KEYS[3 * i - 1], KEYS[3 * i]
  local head, age = load(meta, 'a')
  if age then
    local lease = redis.call('HGET', meta, 'l')
    if lease then head = orphan(stream, meta, head, lease, now()) end
    keep(stream, meta, age)
  elseif head then
    redis.call('PEXPIRE', meta, maxAgeMs)
  else
    head = create(stream, meta, keys, ARGV[i], now())
  end
  result[i] = ${limits.waits ? 'headsOf(meta, head)' : 'head'}
end
return result
`

/**
 * Lets a channel take no more entries. `ARGV`: a nonce, if it is new.
 *
 * @returns `'closed'`, or `'produced'` for a stream that has not ended.
 */
const close = (limits: ScriptLimits) => `${common(limits)}
local stream, meta, keys = KEYS[1], KEYS[2], KEYS[3]
local head, lease, age = load(meta, 'l', 'a')
if not head then create(stream, meta, keys, ARGV[1], now()) end
if lease then
  local _, isOver = orphan(stream, meta, head, lease, now())
  if not isOver then return 'produced' end
end
redis.call('HSET', meta, 'x', 1)
keep(stream, meta, age)
return 'closed'
`

/** Entries of one live message. */
const maxTold = 128

/**
 * Shows entries that are known to be on replicas, to readers and followers. `ARGV`: the live channel, and the last of
 * them. What was appended before it is on replicas too. Once it is shown, this does nothing; and where it is not in this
 * log, which may have lost it.
 */
const confirm = (limits: ScriptLimits) => `${common({ ...limits, waits: true })}
local stream, meta = KEYS[1], KEYS[2]
local live, last = ARGV[1], ARGV[2]
local head = load(meta)
local shown = head and shownOf(meta, head)
if not shown or seqOf(last) <= seqOf(shown) then return 0 end
if last ~= head and not find(stream, last, last) then return 0 end
local message, messageBytes = {}, 0
local entries = redis.call('XRANGE', stream, '(' .. shown, last, 'COUNT', ${maxTold + 1})
for _, entry in ipairs(entries) do
  local prev = parse(entry)
  if not prev then messageBytes = math.huge break end
  local text = string.sub(entry[2][2], string.find(entry[2][2], '\\n', 1, true) + 1)
  -- UTF-16 has one unit for each character, and two for those that are four bytes of UTF-8.
  local _, characters = string.gsub(text, '[^\\128-\\191]', '')
  local _, long = string.gsub(text, '[\\240-\\247]', '')
  message[1] = message[1] or prev
  message[#message + 1] = '\\n' .. entry[1] .. ' ' .. whole(characters + long) .. '\\n' .. text
  messageBytes = messageBytes + #text
end
if #entries == 0 or #entries > ${maxTold} then messageBytes = math.huge end
if last == head then redis.call('HDEL', meta, 'w') else redis.call('HSET', meta, 'w', last) end
publish(live, last, message, messageBytes)
return 1
`

const shownOrMark = `
    local shown = shownOf(meta, head)
    result[#result + 1] = loss.id and seqOf(loss.id) > seqOf(shown) and loss.id or shown`

/**
 * Looks for entries that must be there. `KEYS`: stream and hash of each channel; `ARGV`: a nonce to mark their loss with, or
 * nothing; the `seq` of the first entry, nonces, and for how many milliseconds the last one was known.
 *
 * @returns For each `'kept'` when the last one is there, `'absent'` when all began since it was known, or the head: the
 *   last entry that is shown, or the mark while it is hidden.
 */
const mark = (limits: ScriptLimits) => `${common(limits)}${losses}
local result, at = {}, now()
for i = 1, #KEYS, 2 do
  local stream, meta = KEYS[i], KEYS[i + 1]
  local own, first, all, age = ARGV[2 * i - 1], tonumber(ARGV[2 * i]), ARGV[2 * i + 1], tonumber(ARGV[2 * i + 2])
  local nonces = {}
  for nonce in string.gmatch(all, '%d+') do nonces[#nonces + 1] = nonce end
  local head, bytes, producer = load(meta, 'c', 'p')
  if not head or producer or isNew(meta, at, age) then
    result[#result + 1] = 'absent'
  elseif has(stream, head, first + #nonces - 1, nonces[#nonces]) then
    result[#result + 1] = 'kept'
  else
    local loss = own ~= '' and lossOf(stream, meta, head, at, own, first, nonces, age) or {}
    if loss.isNew then
      bytes = count(bytes)
      add(stream, head, loss.id, 'e', markEntry(head, at, bytes))
      redis.call('HSET', meta, 'h', loss.id, 'c', whole(bytes + ${markText.length}))
      keep(stream, meta, maxAgeMs)
      pcall(tell, liveOf(meta), loss.id, { head, markMessage(loss.id) }, ${markText.length})
      head = loss.id
    end
    if loss.lines then redis.call('HSET', meta, 'r', loss.lines) end
${limits.waits ? shownOrMark : '    result[#result + 1] = head'}
  end
end
return result
`

/** The scripts, with the limits of one log written into them. */
export function scriptsFor(limits: ScriptLimits): Scripts {
  return {
    append: script(append(limits)),
    read: script(read(limits)),
    heads: script(heads(limits)),
    close: script(close(limits)),
    confirm: script(confirm(limits)),
    mark: script(mark(limits)),
  }
}

export function script(source: string): Script {
  return { source, sha: createHash('sha1').update(source).digest('hex') }
}
