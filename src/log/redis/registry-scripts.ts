import { type Script, script } from './scripts.js'

/** What is done to a registry. Each script may answer `'again'` when it has done nothing of it yet. */
export interface RegistryScripts {
  readonly register: Script
  readonly heartbeat: Script
  readonly remove: Script
  readonly tell: Script
  readonly idsOfUser: Script
  readonly idsOfSilent: Script
  readonly count: Script
  readonly end: Script
  readonly take: Script
  readonly settle: Script
}

/**
 * Records that one command changes, tells of, or looks through at most: Redis does nothing else meanwhile. A thousand
 * that are registered by one command took it tens of milliseconds.
 */
export const maxRecords = 200

/** Records that one command forgets at most, of those whose time has come. */
const maxSwept = 100

/** Characters after which an answer tells of no more records. */
const maxTold = 250_000

/** Records that are read to be told at once: the metadata of each may be long. */
const toldAtOnce = 20

/** The states of what has ended, in the order of their numbers, from 1 on. */
export const ends = ['completed', 'failed', 'aborted', 'orphaned'] as const

/**
 * What every script has. PROTOCOL.md describes the keys. All of them are in one slot of a cluster.
 *
 * - `records` has what was registered: `<startedAt> <token> <user>`, LF, and the rest.
 * - `states` has `<lifetime> <pause>` of what is active, and behind that of others the state, since when
 *   it is so, the last heartbeat, and the token of the end. It is apart, so that a heartbeat reads no metadata.
 * - `active` is sorted by when silence begins: the last heartbeat and the pause.
 * - `ended` is sorted by the number of the state, for counting.
 * - `users` has `<user>~<startedAt>~<id>`, all with the same score, so that it is in the order of the text.
 * - `due` tells when to look at a record. Heartbeats leave it as it is: whoever looks too early puts it off.
 * - `holds` has `<holder> <until> <1 when settled>` of what was taken.
 */
const common = `
local records, states, active, ended, users, due, holds = unpack(KEYS)
local function whole(n) return string.format('%.0f', n) end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Lifetime, pause, state, since when, last heartbeat, token of the end; nothing of what is no state.
local function parse(state)
  local lifetime, pause, name, at, heard, token =
    string.match(state, '^(%d+) (%d+) ?(%a*) ?(%d*) ?(%d*) ?(%S*)')
  return tonumber(lifetime), tonumber(pause), name, at, heard, token
end
-- Takes records away from where they are found while they have not expired.
local function leave(ids)
  redis.call('ZREM', active, unpack(ids))
  redis.call('ZREM', ended, unpack(ids))
  redis.call('HDEL', holds, unpack(ids))
  local members = {}
  for i, given in ipairs(redis.call('HMGET', records, unpack(ids))) do
    local startedAt, user = string.match(given or '', '^(%d+) %S+ (%S*)')
    if user and user ~= '' then members[#members + 1] = user .. '~' .. startedAt .. '~' .. ids[i] end
  end
  if #members > 0 then redis.call('ZREM', users, unpack(members)) end
end
local function forget(ids)
  if #ids == 0 then return end
  leave(ids)
  redis.call('HDEL', records, unpack(ids))
  redis.call('HDEL', states, unpack(ids))
  redis.call('ZREM', due, unpack(ids))
end
-- Whether nothing is left that is due: then all keys say how it is now.
local function sweep()
  local ids = redis.call('ZRANGEBYSCORE', due, '-inf', whole(now), 'LIMIT', 0, ${maxSwept})
  if #ids == 0 then return true end
  local found = redis.call('HMGET', states, unpack(ids))
  local silentSince = redis.call('ZMSCORE', active, unpack(ids))
  local later, gone, expired, changed = {}, {}, {}, {}
  for i, id in ipairs(ids) do
    local lifetime, pause, name, at, heard
    if found[i] then lifetime, pause, name, at, heard = parse(found[i]) end
    if not lifetime then
      at = nil
    elseif name == '' and silentSince[i] then
      at = silentSince[i] - pause
      heard = whole(at)
    end
    -- When it expires. Nobody finds one that has expired already, or was lost in part.
    at = lifetime and name ~= 'expired' and tonumber(at)
    at = at and at + lifetime
    if not at or at + lifetime <= now then
      gone[#gone + 1] = id
    elseif at > now then
      later[#later + 1], later[#later + 2] = whole(at), id
    else
      later[#later + 1], later[#later + 2] = whole(at + lifetime), id
      changed[#changed + 1] = id
      changed[#changed + 1] = table.concat({ whole(lifetime), whole(pause), 'expired', whole(at), heard }, ' ')
      expired[#expired + 1] = id
    end
  end
  forget(gone)
  if #expired > 0 then
    leave(expired)
    redis.call('HSET', states, unpack(changed))
  end
  if #later > 0 then redis.call('ZADD', due, unpack(later)) end
  return #ids < ${maxSwept}
end
if not sweep() then return 'again' end
-- All is gone some time after the last record is, though nobody calls any more. All keys go at once.
local function keep(lifetime)
  local left = redis.call('PTTL', states)
  if left < 2 * lifetime then left = 3 * lifetime end
  for _, key in ipairs(KEYS) do
    if redis.call('PTTL', key) < left then redis.call('PEXPIRE', key, whole(left)) end
  end
end
-- Up to when silence must have begun.
local function before(silentMs)
  return tonumber(silentMs) > 0 and whole(now - silentMs) or '+inf'
end
`

/**
 * Registers. `ARGV`: a token of this call; then for each record its id, lifetime, pause, `1` when it
 * replaces another one or nothing, user or nothing, and the rest as text. A record knows the call
 * that has registered it, so that its repetition is told the same.
 *
 * @returns For each `1` or `0`, as one text.
 */
const register = `${common}
local result, longest = {}, 0
for i = 2, #ARGV, 6 do
  local id, lifetime, pause, user = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 4]
  local token = ARGV[1] .. '-' .. i
  local state, registered = redis.call('HGET', states, id), '1'
  if state then
    local known = string.match(redis.call('HGET', records, id) or '', '^%d+ (%S+)')
    local _, _, name = parse(state)
    if known == token then
      state = 'own'
    elseif not name then
      forget({ id })
      state = false
    elseif ARGV[i + 3] == '' and name ~= 'expired' then
      registered = '0'
    else
      forget({ id })
      state = false
    end
  end
  if not state then
    local startedAt = whole(now)
    redis.call('HSET', records, id, startedAt .. ' ' .. token .. ' ' .. user .. '\\n' .. ARGV[i + 5])
    redis.call('HSET', states, id, lifetime .. ' ' .. pause)
    redis.call('ZADD', active, whole(now + pause), id)
    redis.call('ZADD', due, whole(now + lifetime), id)
    if user ~= '' then redis.call('ZADD', users, 0, user .. '~' .. startedAt .. '~' .. id) end
    longest = math.max(longest, lifetime)
  end
  result[#result + 1] = registered
end
if longest > 0 then keep(longest) end
return table.concat(result)
`

/**
 * Hears of records. `ARGV`: their ids.
 *
 * @returns For each `1` or `0`, as one text.
 */
const heartbeat = `${common}
local found = redis.call('HMGET', states, unpack(ARGV))
local held = redis.call('EXISTS', holds) == 1 and redis.call('HMGET', holds, unpack(ARGV))
local result, beats, freed, longest = {}, {}, {}, 0
-- Most have the same lifetime and pause.
local silentSince = {}
for i, id in ipairs(ARGV) do
  local state, at = found[i], false
  if state then
    at = silentSince[state]
    if at == nil then
      local lifetime, pause, name = parse(state)
      at = name == '' and whole(now + pause)
      silentSince[state] = at
      if at then longest = math.max(longest, lifetime) end
    end
    local hold = at and held and held[i]
    if hold then
      if string.sub(hold, -1) == '1' then at = false else freed[#freed + 1] = id end
    end
  end
  if at then beats[#beats + 1], beats[#beats + 2] = at, id end
  result[i] = at and '1' or '0'
end
if #beats > 0 then redis.call('ZADD', active, unpack(beats)) end
if #freed > 0 then redis.call('HDEL', holds, unpack(freed)) end
if redis.call('PTTL', states) < 2 * longest then keep(longest) end
return table.concat(result)
`

/**
 * Removes records. `KEYS`: also where the answer is kept for a while. `ARGV`: milliseconds for which it
 * is, `1` when this may have been done before or nothing; then ids.
 *
 * @returns For each `1` or `0`, as one text.
 */
const remove = `${common}
local answer = ARGV[2] ~= '' and redis.call('GET', KEYS[8])
if answer then return answer end
local result, gone, seen = {}, {}, {}
for i, state in ipairs(redis.call('HMGET', states, unpack(ARGV, 3))) do
  local id = ARGV[i + 2]
  local isThere = state and not seen[id]
  if isThere then gone[#gone + 1] = id end
  seen[id] = true
  result[i] = isThere and '1' or '0'
end
forget(gone)
answer = table.concat(result)
if #gone > 0 then redis.call('SET', KEYS[8], answer, 'PX', ARGV[1]) end
return answer
`

/**
 * Tells of records. `ARGV`: milliseconds for which active ones must have been silent, or nothing for any state; their ids.
 *
 * @returns How many of the ids were looked at, as an answer may be full; of each record that is there its id, then
 *   in one text when its silence begins or nothing, a space, its state, LF, and what was registered.
 */
const tell = `${common}
local latest = ARGV[1] ~= '' and (tonumber(ARGV[1]) > 0 and now - ARGV[1] or math.huge)
local result, length, looked = { 0 }, 0, 1
while looked < #ARGV and length < ${maxTold} do
  local some = { unpack(ARGV, looked + 1, math.min(looked + ${toldAtOnce}, #ARGV)) }
  local given = redis.call('HMGET', records, unpack(some))
  local found = redis.call('HMGET', states, unpack(some))
  local silentSince = redis.call('ZMSCORE', active, unpack(some))
  for i, id in ipairs(some) do
    local isWanted = not latest or (silentSince[i] and tonumber(silentSince[i]) <= latest)
    if given[i] and found[i] and isWanted then
      local text = (silentSince[i] or '') .. ' ' .. found[i] .. '\\n' .. given[i]
      result[#result + 1], result[#result + 2] = id, text
      length = length + #text
    end
  end
  looked = looked + #some
end
result[1] = looked - 1
return result
`

/**
 * Finds the records of one user, the latest first. `ARGV`: the user; the last that was found before, or nothing; how many
 * at most.
 *
 * @returns For each `<user>~<startedAt>~<id>`.
 */
const idsOfUser = `${common}
local from = ARGV[2] == '' and ARGV[1] .. '~:' or ARGV[2]
return redis.call('ZREVRANGEBYLEX', users, '(' .. from, '[' .. ARGV[1] .. '~', 'LIMIT', 0, ARGV[3])
`

/** Finds active records that are silent, the longest first. `ARGV`: milliseconds of silence, and how many at most. */
const idsOfSilent = `${common}
return redis.call('ZRANGEBYSCORE', active, '-inf', before(ARGV[1]), 'LIMIT', 0, ARGV[2])
`

/**
 * Counts. `ARGV`: milliseconds of silence that are too many.
 *
 * @returns Active and silent ones, those that have ended by state, and the longest silence or nothing.
 */
const count = `${common}
local silent = redis.call('ZCOUNT', active, '-inf', before(ARGV[1]))
local result = { redis.call('ZCARD', active) - silent, silent }
for number = 1, ${ends.length} do result[#result + 1] = redis.call('ZCOUNT', ended, number, number) end
local first = redis.call('ZRANGE', active, 0, 0, 'WITHSCORES')
result[#result + 1] = first[2] and whole(math.max(0, now - first[2])) or ''
return result
`

/**
 * Ends a record. `ARGV`: its id, the state and its number, and a token of this call, which the record keeps.
 *
 * @returns `1` or `0`; nil when there is no such record.
 */
const end = `${common}
local id, token = ARGV[1], ARGV[4]
local state = redis.call('HGET', states, id)
if not state then return false end
local lifetime, pause, name, _, _, known = parse(state)
if not lifetime then return false end
if name ~= '' then return known == token and 1 or 0 end
local heard = (redis.call('ZSCORE', active, id) or now + pause) - pause
redis.call('ZREM', active, id)
redis.call('HDEL', holds, id)
redis.call('HSET', states, id, table.concat({ state, ARGV[2], whole(now), whole(heard), token }, ' '))
redis.call('ZADD', ended, ARGV[3], id)
redis.call('ZADD', due, whole(now + lifetime), id)
keep(lifetime)
return 1
`

/**
 * Takes silent records, of some. `ARGV`: milliseconds of silence, the holder, milliseconds of the hold, how many at most,
 * and how many to leave out. Who has taken some gets them again, since the answer may have been lost.
 *
 * @returns How many to leave out next, or nothing when there are no more; the ids of those that are taken.
 */
const take = `${common}
local holder, till, limit, offset = ARGV[2], whole(now + ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local ids = redis.call('ZRANGEBYSCORE', active, '-inf', before(ARGV[1]), 'LIMIT', offset, ${maxRecords})
local held = #ids > 0 and redis.call('HMGET', holds, unpack(ids))
local found = #ids > 0 and redis.call('HMGET', states, unpack(ids))
local result, hold, gone = { '' }, {}, {}
for i, id in ipairs(ids) do
  local owner, untilWhen, settled = string.match(held[i] or '', '^(%S+) (%d+) (%d)$')
  if not found[i] then
    gone[#gone + 1] = id
  elseif #result <= limit and (not owner or owner == holder or tonumber(untilWhen) <= now) then
    hold[#hold + 1], hold[#hold + 2] = id, holder .. ' ' .. till .. ' ' .. (settled or '0')
    result[#result + 1] = id
  end
end
-- Nobody has registered them, and they would be first for ever.
forget(gone)
if #hold > 0 then
  redis.call('HSET', holds, unpack(hold))
  keep(0)
end
if #ids == ${maxRecords} then result[1] = whole(offset + #ids - #gone) end
return result
`

/**
 * Lets nobody but the holder go on with a record. `ARGV`: its id, and the holder.
 *
 * @returns `1` or `0`.
 */
const settle = `${common}
local owner, till = string.match(redis.call('HGET', holds, ARGV[1]) or '', '^(%S+) (%d+)')
if owner ~= ARGV[2] or tonumber(till) <= now then return 0 end
redis.call('HSET', holds, ARGV[1], owner .. ' ' .. till .. ' 1')
return 1
`

export const registryScripts: RegistryScripts = {
  register: script(register),
  heartbeat: script(heartbeat),
  remove: script(remove),
  tell: script(tell),
  idsOfUser: script(idsOfUser),
  idsOfSilent: script(idsOfSilent),
  count: script(count),
  end: script(end),
  take: script(take),
  settle: script(settle),
}
