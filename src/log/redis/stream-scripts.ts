import { common, exactTrimming, type Script, type ScriptLimits, script } from './scripts.js'

/** What is done to streams with one producer. What other scripts do about them is in `common`. */
export interface StreamScripts {
  readonly claim: Script
  readonly produce: Script
  readonly renew: Script
  readonly end: Script
  readonly inspect: Script
  readonly drop: Script
}

const info = `
-- Head, origin, start, the last entry or nothing, and the token.
local function info(meta, outcome)
  local head, origin, startedAt, last, token = unpack(redis.call('HMGET', meta, 'h', 'o', 's', 'e', 'p'))
  return { outcome, head, origin, startedAt, last or '', token }
end
`

/**
 * Begins a stream. `ARGV`: the token, milliseconds of its lease, milliseconds that it is kept, a nonce for its origin;
 * origin and head to go on from, or nothing.
 *
 * @returns The outcome and what `info` tells.
 */
const claim = (limits: ScriptLimits) => `${common(limits)}${info}
local stream, meta, keys = KEYS[1], KEYS[2], KEYS[3]
local token, leaseMs, age, origin, from = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[5], ARGV[6]
local at = now()
local head, closed, owner, lease = load(meta, 'x', 'p', 'l')
if not head then head = create(stream, meta, keys, ARGV[4], at) end
if lease then head, closed = orphan(stream, meta, head, lease, at) end
if not owner or (owner == token and from ~= '' and not closed) then
  if not owner then redis.call('HSET', meta, 's', whole(at)) end
  if from == '' then origin = head end
  redis.call('HSET', meta, 'p', token, 'o', origin, 'l', whole(at + leaseMs), 'a', age)
  if from ~= '' and from ~= head then
    redis.call('DEL', stream, keys)
    redis.call('HSET', meta, 'h', from, 'c', 0, 'b', 0, 't', whole(at))
    redis.call('HDEL', meta, 'w')
  end
  keep(stream, meta, age)
  owner = token
end
return info(meta, closed and 'ended' or owner == token and 'owned' or 'taken')
`

/**
 * Appends what a producer has made. `ARGV`: the token, milliseconds of its lease, entries, bytes and
 * milliseconds that are kept, the live channel, the id before the first entry; then for each entry its
 * id, length in UTF-16 units, and packed text.
 */
const produce = (limits: ScriptLimits) => `${common(limits)}
local stream, meta = KEYS[1], KEYS[2]
local token, leaseMs, age, live, prev = ARGV[1], tonumber(ARGV[2]), ARGV[5], ARGV[6], ARGV[7]
local last, lastText = ARGV[#ARGV - 2], ARGV[#ARGV]
local at = now()
local head, bytes, before, owner, lease, ended = load(meta, 'c', 'b', 'p', 'l', 'e')
if not owner then return 'missing' end
if lease then
  local isOver
  head, isOver = orphan(stream, meta, head, lease, at)
  if isOver then return owner == token and 'ended' or 'taken' end
end
if owner ~= token then return 'taken' end
-- All ends behind one entry have the same id.
if ended and (head ~= last or string.match(ended, '\\n(.*)') ~= lastText) then return 'ended' end
if head == last then return 'appended' end
if head ~= prev then return 'diverged' end
-- Entries have no age of their own.
maxEvents, maxBytes, maxAgeMs = tonumber(ARGV[3]), tonumber(ARGV[4]), math.huge
local trimming = maxEvents < ${exactTrimming} and '=' or '~'
local message, messageBytes, header = { head }, 0
bytes, before = count(bytes), count(before)
local function put(i)
  local id, units, text = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  header = nonceOf(head) .. ' ' .. whole(at) .. ' ' .. whole(bytes) .. '\\n'
  add(stream, prev, 'MAXLEN', trimming, maxEvents, id, 'e', header .. text)
  head, bytes, messageBytes = id, bytes + #text, messageBytes + #text
  message[#message + 1] = '\\n' .. id .. ' ' .. units .. '\\n' .. text
end
put(8)
return complete(function()
  for i = 11, #ARGV, 3 do put(i) end
  redis.call('HSET', meta, 'h', head, 'c', whole(bytes), 'l', whole(at + leaseMs), 'a', age)
  if nonceOf(head) == '0' then
    redis.call('HDEL', meta, 'l')
    redis.call('HSET', meta, 'x', 1, 'e', header .. lastText)
  end
  keep(stream, meta, age)
  if bytes - before > maxBytes then trim(stream, meta, head, bytes, at) end
  tell(live, head, message, messageBytes)
end) or 'appended'
`

/**
 * Renews leases. `KEYS`: stream and hash of each channel; `ARGV`: its token and milliseconds.
 *
 * @returns For each 1 when it holds, or 0.
 */
const renew = (limits: ScriptLimits) => `${common(limits)}
local result, at = {}, now()
for i = 1, #ARGV, 2 do
  local stream, meta = KEYS[i], KEYS[i + 1]
  local head, owner, lease, age = load(meta, 'p', 'l', 'a')
  local holds = false
  if lease then
    local _, isOver = orphan(stream, meta, head, lease, at)
    holds = owner == ARGV[i] and not isOver
  end
  if holds then
    redis.call('HSET', meta, 'l', whole(at + tonumber(ARGV[i + 1])))
    keep(stream, meta, age)
  end
  result[#result + 1] = holds and 1 or 0
end
return result
`

/**
 * Ends a stream. `ARGV`: length in UTF-16 units and packed text of its last entry.
 *
 * @returns What `info` tells, or nil when it is none.
 */
const end = (limits: ScriptLimits) => `${common(limits)}${info}
local stream, meta = KEYS[1], KEYS[2]
local at = now()
local head, owner, lease = load(meta, 'p', 'l')
if not owner then return false end
if lease then
  local _, isOver = orphan(stream, meta, head, lease, at)
  if not isOver then finish(stream, meta, head, ARGV[1], ARGV[2], at) end
end
return info(meta, '')
`

/** @returns What `info` tells of a stream, or nil. */
const inspect = (limits: ScriptLimits) => `${common(limits)}${info}
local stream, meta = KEYS[1], KEYS[2]
local head, owner, lease = load(meta, 'p', 'l')
if lease then orphan(stream, meta, head, lease, now()) end
return owner and info(meta, '')
`

/**
 * Drops a stream that has ended. `KEYS`: also where the token is kept for a while. `ARGV`: a token of this
 * call, `1` when it may have been done before or nothing, and milliseconds for which the token is kept.
 *
 * @returns 1 when it was dropped, or 0.
 */
const drop = (limits: ScriptLimits) => `${common(limits)}
local stream, meta, keys, dropped = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
if ARGV[2] ~= '' and redis.call('GET', dropped) == ARGV[1] then return 1 end
local head, owner, lease = load(meta, 'p', 'l')
if not owner then return 0 end
if lease then
  local _, isOver = orphan(stream, meta, head, lease, now())
  if not isOver then return 0 end
end
redis.call('DEL', stream, meta, keys)
redis.call('SET', dropped, ARGV[1], 'PX', ARGV[3])
-- Whoever follows reads, and finds nothing of it.
tell(liveOf(meta), '0-0', {}, math.huge)
return 1
`

export function streamScriptsFor(limits: ScriptLimits): StreamScripts {
  return {
    claim: script(claim(limits)),
    produce: script(produce(limits)),
    renew: script(renew(limits)),
    end: script(end(limits)),
    inspect: script(inspect(limits)),
    drop: script(drop(limits)),
  }
}
