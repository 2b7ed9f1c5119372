-- The counts of one policy that several callgates share. The keys of a call belong to one policy, so they are on one
-- shard. Times are microseconds of this server's clock, amounts are millionths of a unit.
--
-- KEYS: the policy, its nodes, its wanted counts, the counts of which the caller has shares; then two for each count:
-- the count and its log.
-- ARGV: the epoch, the caller's node, the length of a lease, the time of recovery (-1: one window), the time for which
-- units that nodes have lent to others may be in use after a lease (0: it knows of none); then operations, each a word
-- and its arguments. Counts are named by their position among the keys.
--
-- A count has at most `max` units in its log (taken one by one) and in the shares of nodes together. A share counts
-- until its node's lease and a window have ended, unless the node gives it back. Where nodes lend units to others, leases
-- end later for the store, once those are out of use; nodes use them no longer.
local policy, nodes, wanted, held = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local epoch, node = ARGV[1], ARGV[2]
local lease, recovery = tonumber(ARGV[3]), tonumber(ARGV[4])
local at = 5
local function word() at = at + 1 return ARGV[at] end
local function number() return tonumber(word()) end
local function text(value) return string.format('%.0f', value) end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local known = redis.call('HMGET', policy, 'epoch', 'begun', 'seen', 'lost', 'cleaned', 'oldest', 'ahead',
  'resets')
if known[1] ~= epoch then return {'epoch', known[1] or ''} end
local begun, seen = tonumber(known[2]), tonumber(known[3])
local told_ahead = tonumber(known[7] or '0')
local ahead = math.max(told_ahead, tonumber(ARGV[5]))
if now < seen then
  -- The clock was set back: time stands still until it has caught up, so nothing is free too early.
  now = seen
elseif now - seen > lease / 2 then
  -- The clock was set forward, or no node came: a lease that lasted when time was last seen may still last, and so may
  -- what its node has lent to others. Nothing else that counts until a time ends because of it.
  local step = now - seen
  local all = redis.call('HGETALL', nodes)
  for index = 1, #all, 2 do
    local ends, rest = string.match(all[index + 1], '(%d+) (.*)')
    ends = tonumber(ends)
    ends = ends >= seen and math.max(now + lease, ends + step) or ends + step
    redis.call('HSET', nodes, all[index], text(ends) .. ' ' .. rest)
  end
  begun = begun + step
  redis.call('HSET', policy, 'seen', text(now), 'begun', text(begun))
elseif now - seen > 50000 then
  redis.call('HSET', policy, 'seen', text(now))
end

-- The time until units of a count can be granted: what was granted before the epoch began has ended then.
local function recovers(count)
  local ready = begun + lease / 2
  if known[4] == '1' then
    local longest = count.window + ahead
    ready = begun + lease + (recovery >= 0 and math.min(recovery, longest) or longest)
    if count.to > 0 then
      -- Of a period of the calendar that began later, everything is known.
      ready = count.from > begun and 0 or math.min(ready, count.to)
    end
  end
  return math.max(0, ready - now)
end

-- The counts that this call has read, by their position. Operations of one call often name the same count: it is read
-- once, and written once at the end, with the last entry of its log. All else is written at once.
local read = {}

local function save_last(count)
  local last = count.last
  if not last or not last.is_changed then return end
  local entry = text(last.stamp) .. ' ' .. text(last.amount)
  if last.is_stored then redis.call('LSET', count.log, -1, entry) else redis.call('RPUSH', count.log, entry) end
  last.is_stored, last.is_changed = true, false
end

-- The log as it is stored, for operations on all of it.
local function whole_log(count)
  save_last(count)
  count.last = nil
  return redis.call('LRANGE', count.log, 0, -1)
end

local function save_count(count)
  count.is_changed = false
  if count.shares <= 0 and count.logged <= 0 then
    redis.call('DEL', count.count, count.log)
    count.last = nil
    return
  end
  save_last(count)
  redis.call('HSET', count.count, 'epoch', epoch, 'shares', text(count.shares), 'logged', text(count.logged),
    'tail', text(count.tail), 'period', text(count.period))
  -- The last units of the log may have a stamp that lies ahead.
  local left = count.to > 0 and count.to - now or math.max(now, count.tail) + count.window - now
  local ms = math.ceil((left + lease) / 1000)
  redis.call('PEXPIRE', count.log, ms)
  if count.shares > 0 then redis.call('PERSIST', count.count) else redis.call('PEXPIRE', count.count, ms) end
end

local function save_counts()
  for _, count in pairs(read) do
    if count.is_changed then save_count(count) end
  end
  read = {}
end

local function read_count()
  local key, window, from, to = number(), number(), number(), number()
  local before = read[key]
  if before and before.window == window and before.from == from and before.to == to then return before end
  if before and before.is_changed then save_count(before) end
  local count = {count = KEYS[key], log = KEYS[key + 1], window = window, from = from, to = to}
  read[key] = count
  local fields = redis.call('HMGET', count.count, 'epoch', 'shares', 'logged', 'tail', 'period', 'n:' .. node)
  if fields[1] == epoch then
    count.shares, count.logged = tonumber(fields[2]), tonumber(fields[3])
    count.tail, count.share = tonumber(fields[4]), tonumber(fields[6] or '0')
    count.period = tonumber(fields[5])
  else
    -- Of another epoch, or none: nothing is known of it.
    redis.call('DEL', count.count, count.log)
    count.shares, count.logged, count.tail, count.share, count.period = 0, 0, 0, 0, 0
  end
  if count.to > 0 then
    -- A period of the calendar. What was logged in an earlier one is over.
    if count.from > count.period then count.period, count.logged = count.from, 0 end
  else
    while true do
      local head = redis.call('LINDEX', count.log, 0)
      if not head then
        count.logged = 0
        break
      end
      local stamp, amount = string.match(head, '(%d+) (%d+)')
      if tonumber(stamp) + count.window > now then break end
      redis.call('LPOP', count.log)
      count.logged = math.max(0, count.logged - tonumber(amount))
    end
  end
  return count
end

local function write_count(count)
  count.is_changed = true
end

local function set_share(count, share)
  count.shares = count.shares + share - count.share
  count.share = share
  if share > 0 then
    redis.call('HSET', count.count, 'n:' .. node, text(share))
    redis.call('SADD', held, count.count)
  else
    redis.call('HDEL', count.count, 'n:' .. node)
    redis.call('SREM', held, count.count)
  end
end

-- True once no unit of this node's shares can be in a window any more.
local function is_over(other, count)
  local found = redis.call('HGET', nodes, other)
  if not found then return true end
  local ends = tonumber(string.match(found, '%d+'))
  if count.to > 0 then return ends < count.from end
  return ends + count.window <= now
end

-- False while no lease of the policy can have ended so long ago. No lease ends before the oldest end that was found when
-- all were looked through: a renewal only makes it later.
local function may_be_over(count)
  local oldest = tonumber(known[6] or '0')
  if count.to > 0 then return oldest < count.from end
  return oldest + count.window <= now
end

local function drop_ended_shares(count)
  local fields = redis.call('HGETALL', count.count)
  for index = 1, #fields, 2 do
    local other = string.match(fields[index], '^n:(.*)$')
    if other and other ~= node and is_over(other, count) then
      redis.call('HDEL', count.count, fields[index])
      count.shares = math.max(0, count.shares - tonumber(fields[index + 1]))
    end
  end
end

local function free_of(count, max, wanted_units)
  if count.logged + count.shares + wanted_units > max and count.shares > count.share and may_be_over(count) then
    drop_ended_shares(count)
  end
  return max - count.logged - count.shares
end

-- The other nodes are asked for what they do not use.
local function want(count)
  redis.call('ZADD', wanted, now, count.count)
  redis.call('ZREMRANGEBYSCORE', wanted, '-inf', now - lease)
end

local function wait_of(count, missing)
  if count.to > 0 then return count.to - now end
  for _, entry in ipairs(whole_log(count)) do
    local stamp, amount = string.match(entry, '(%d+) (%d+)')
    missing = missing - tonumber(amount)
    if missing <= 0 then return math.max(1, tonumber(stamp) + count.window - now) end
  end
  -- The rest is with other nodes, who are asked for it.
  return 250000
end

local function log_units(count, stamp, amount, merge)
  if count.to == 0 then
    local last = count.last
    if not last then
      local before, units = string.match(redis.call('LINDEX', count.log, -1) or '', '(%d+) (%d+)')
      if before then last = {stamp = tonumber(before), amount = tonumber(units), is_stored = true} end
    end
    stamp = math.max(stamp, count.tail)
    if last and (last.stamp == stamp
        or merge > 0 and math.floor(last.stamp / merge) == math.floor(stamp / merge)) then
      last.stamp, last.amount = stamp, last.amount + amount
    else
      save_last(count)
      last = {stamp = stamp, amount = amount}
    end
    last.is_changed = true
    count.last = last
  end
  count.tail = math.max(count.tail, stamp)
  count.logged = count.logged + amount
end

local operations = {}

-- The lease of the caller goes on, and its shares count for the time ahead after its end. Answers 1, the time, the time
-- ahead of all callers, and the counts that others have wanted since this time; 0 if the lease has ended; -1 if this
-- number was said before, or a later one: another caller has the same name, or this call comes late.
function operations.renew()
  local longest, since, said, is_new = word(), number(), number(), word() == '1'
  local found = redis.call('HGET', nodes, node)
  local ends, _, before = string.match(found or '0 0 0', '(%d+) (%d+) (%d+)')
  -- Nothing else is done for a caller without a lease.
  if tonumber(before) >= said then at = #ARGV return {-1, now} end
  if not is_new and tonumber(ends) < now then at = #ARGV return {0, now} end
  -- Never earlier than before: what was lent with an earlier renewal may still be in use.
  ends = math.max(tonumber(ends), now + lease + ahead)
  redis.call('HSET', nodes, node, text(ends) .. ' ' .. longest .. ' ' .. text(said))
  -- Whoever comes back after a loss of data tells it again.
  if ahead > told_ahead then redis.call('HSET', policy, 'ahead', text(ahead)) end
  local answer = {1, now, ahead}
  for _, count in ipairs(redis.call('ZRANGEBYSCORE', wanted, '(' .. text(since), '+inf', 'LIMIT', 0, 512)) do
    table.insert(answer, count)
  end
  return answer
end

-- The caller stops. Its lease ends at once if it has given back all that it had, else as any other.
function operations.stop()
  if redis.call('SCARD', held) == 0 then redis.call('HDEL', nodes, node) end
  return {1}
end

-- Takes from all of several counts, or from none.
function operations.take()
  local counts, all, status = {}, number(), 1
  for index = 1, all do
    local count = read_count()
    count.max, count.cost, count.merge = number(), number(), number()
    counts[index] = count
    count.free = 0
    count.wait = recovers(count)
    if count.wait > 0 then
      status = math.min(status, -1)
    elseif count.to > 0 and (now >= count.to or now < count.from or count.from < count.period) then
      status = math.min(status, -2)
    else
      count.free = free_of(count, count.max, count.cost)
      if count.free < count.cost then
        status = math.min(status, 0)
        count.wait = wait_of(count, count.cost - count.free)
        if count.shares > 0 then want(count) end
      end
    end
  end
  local answer = {status, now}
  for _, count in ipairs(counts) do
    local free = count.free
    if status == 1 and count.cost > 0 then
      log_units(count, now, count.cost, count.merge)
      free = free - count.cost
    end
    write_count(count)
    local reset = 0
    if count.logged > 0 then reset = count.to > 0 and count.to - now or count.tail + count.window - now end
    table.insert(answer, math.max(0, free))
    table.insert(answer, count.wait)
    table.insert(answer, math.max(0, reset))
    table.insert(answer, count.tail)
  end
  return answer
end

-- Gives back units of the log that were taken under this stamp, unless they have expired, or were taken in another epoch:
-- what is in the log then is others'.
function operations.give()
  local count = read_count()
  local stamp, amount, merge = number(), number(), number()
  local given = 0
  if stamp < begun then
    given = 0
  elseif count.to > 0 then
    if count.from == count.period then given = math.min(amount, count.logged) end
  elseif stamp + count.window > now then
    for index, entry in ipairs(whole_log(count)) do
      local at_stamp, units = string.match(entry, '(%d+) (%d+)')
      at_stamp, units = tonumber(at_stamp), tonumber(units)
      -- Units that were merged have a later stamp than their own.
      if at_stamp == stamp or merge > 0 and at_stamp > stamp
          and math.floor(at_stamp / merge) == math.floor(stamp / merge) then
        given = math.min(amount, units)
        redis.call('LSET', count.log, index - 1, text(at_stamp) .. ' ' .. text(units - given))
        break
      end
    end
  end
  count.logged = count.logged - given
  write_count(count)
  return {given}
end

-- Adds to the caller's share: what its calls need, and as much of what it would like as leaves others half. Nothing if
-- less than the least of its calls is free.
function operations.grow()
  local count = read_count()
  local max, least, need, like, unit = number(), number(), number(), number(), number()
  local wait = recovers(count)
  if wait > 0 then return {-1, 0, wait, count.share} end
  local free = free_of(count, max, math.max(need, like))
  if free < least then
    want(count)
    write_count(count)
    return {0, math.max(0, free), wait_of(count, least - free), count.share}
  end
  local granted = math.max(need, math.min(like, math.floor(free / 2)))
  granted = math.min(free, math.ceil(granted / unit) * unit)
  granted = granted - granted % unit
  if free - granted < need then want(count) end
  set_share(count, count.share + granted)
  write_count(count)
  return {granted, free - granted, 0, count.share}
end

-- Takes away from the caller's share what it does not use.
function operations.shrink()
  local count = read_count()
  set_share(count, math.max(0, count.share - number()))
  write_count(count)
  return {count.share}
end

-- Units of a share, each with the time until it expires.
local function read_units(count)
  local units = {}
  for _ = 1, number() do
    local left, amount = number(), number()
    table.insert(units, {now + left - count.window, amount})
  end
  return units
end

-- Adds units to the log, in the order of their stamps.
local function log_all(count, entries, merge)
  for _, entry in ipairs(whole_log(count)) do
    local stamp, amount = string.match(entry, '(%d+) (%d+)')
    table.insert(entries, {tonumber(stamp), tonumber(amount)})
  end
  table.sort(entries, function(a, b) return a[1] < b[1] end)
  redis.call('DEL', count.log)
  count.logged, count.tail = 0, 0
  for _, entry in ipairs(entries) do
    if entry[1] + count.window > now then log_units(count, entry[1], entry[2], merge) end
  end
end

-- Turns the caller's share into units of the log.
function operations.leave()
  local count = read_count()
  local merge = number()
  log_all(count, read_units(count), merge)
  set_share(count, 0)
  write_count(count)
  return {1}
end

-- The name of the key with the counts of which another node has shares: it differs from the caller's in the node's alone.
local function held_of(other)
  return string.sub(held, 1, #held - #node) .. other
end

-- Names a node of a process that has ended, and counts of which it has shares. The caller knows what the process had in use
-- when it said this number; who has said more since is left alone. Answers a time to wait while a lease of the process
-- lasts: it is running, and the caller has a copy of its file, or it has ended a moment ago. Answers nothing once there are
-- none.
function operations.heirs()
  local prefix, said, most = word(), number(), number()
  local all, wait = redis.call('HGETALL', nodes), nil
  for index = 1, #all, 2 do
    local other = all[index]
    if string.sub(other, 1, #prefix) == prefix then
      local ends, _, number_said = string.match(all[index + 1], '(%d+) (%d+) (%d+)')
      if tonumber(ends) >= now then
        wait = lease / 4
      elseif tonumber(number_said) <= said then
        local counts = redis.call('SRANDMEMBER', held_of(other), most)
        if #counts > 0 then
          table.insert(counts, 1, other)
          return counts
        end
        redis.call('HDEL', nodes, other)
      end
    end
  end
  return {wait}
end

-- Turns the share of a node that has ended into units of the log. Nothing if that was done before.
function operations.bury()
  local count = read_count()
  local other = word()
  local units = read_units(count)
  local had = tonumber(redis.call('HGET', count.count, 'n:' .. other) or '0')
  if had > 0 then
    log_all(count, units, 0)
    redis.call('HDEL', count.count, 'n:' .. other)
    count.shares = math.max(0, count.shares - had)
    write_count(count)
  end
  redis.call('SREM', held_of(other), count.count)
  return {had}
end

-- Removes the share of a node that nothing of is in use any more. The count is named by its key, and must not have been read.
local function forget_share(count, other, ms)
  local share = tonumber(redis.call('HGET', count, 'n:' .. other) or '0')
  redis.call('HDEL', count, 'n:' .. other)
  if redis.call('EXISTS', count) == 0 then return end
  local shares = tonumber(redis.call('HGET', count, 'shares') or '0') - share
  redis.call('HSET', count, 'shares', text(math.max(0, shares)))
  if shares <= 0 then redis.call('PEXPIRE', count, ms) end
end

-- Removes the shares of a node that has ended of counts of which it had nothing in use.
function operations.drop()
  local other, all = word(), number()
  save_counts()
  local longest = tonumber(string.match(redis.call('HGET', nodes, other) or '', '%d+ (%d+)') or '0')
  for _ = 1, all do
    local count = KEYS[number()]
    forget_share(count, other, math.ceil((longest + lease) / 1000))
    redis.call('SREM', held_of(other), count)
  end
  return {all}
end

-- Adds units that were counted elsewhere before, once for each source: the count remembers it for as long as they can count.
function operations.add()
  local count = read_count()
  local source, merge = word(), number()
  local added = read_units(count)
  if redis.call('HSETNX', count.count, 'm:' .. source, '1') == 0 then
    write_count(count)
    return {0}
  end
  if count.to > 0 then
    for _, entry in ipairs(added) do log_units(count, now, entry[2], merge) end
  else
    log_all(count, added, merge)
  end
  write_count(count)
  return {1}
end

-- Gives the caller a share that it has from another epoch, while nothing is granted yet: later it may be another's.
function operations.bring()
  local count = read_count()
  local share = number()
  if recovers(count) > 0 then set_share(count, share) end
  write_count(count)
  return {count.share}
end

-- Gives the caller what an ended lease had, up to this amount. What the other lease had beyond that is free.
function operations.move()
  local count = read_count()
  local from, amount = word(), number()
  local had = tonumber(redis.call('HGET', count.count, 'n:' .. from) or '0')
  if had > 0 then
    local is_ended = is_over(from, count)
    redis.call('HDEL', count.count, 'n:' .. from)
    count.shares = count.shares - had
    if not is_ended then set_share(count, count.share + math.min(had, amount)) end
  end
  write_count(count)
  return {count.share}
end

-- Removes what leases have left that ended longer ago than the longest window of their node, at most this many counts. All
-- nodes are looked through, so not for each of them.
function operations.clean()
  local most = number()
  if now - tonumber(known[5] or '0') < lease / 20 then return {most} end
  save_counts()
  local all = redis.call('HGETALL', nodes)
  local oldest = now + lease
  for index = 1, #all, 2 do
    local other = all[index]
    local ends, longest = string.match(all[index + 1], '(%d+) (%d+)')
    oldest = math.min(oldest, tonumber(ends))
    if other ~= node and tonumber(ends) + tonumber(longest) + lease <= now then
      for _, count in ipairs(redis.call('SPOP', held_of(other), most)) do
        forget_share(count, other, math.ceil((tonumber(longest) + lease) / 1000))
        most = most - 1
      end
      if redis.call('EXISTS', held_of(other)) == 0 then redis.call('HDEL', nodes, other) end
      -- The rest is looked through the next time.
      if most <= 0 then return {most} end
    end
  end
  redis.call('HSET', policy, 'cleaned', text(now), 'oldest', text(oldest))
  return {most}
end

-- Counts begin anew: the numbers of resets become parts of the names of counts. A number of 0 stands for one that is
-- greater than all others. Removes the resets that these replace.
function operations.reset()
  local changed, latest = word(), number()
  local found = redis.call('HGET', policy, 'reset')
  local fresh = math.max(now, latest + 1, tonumber(found or '0') + 1)
  for _ = 1, number() do redis.call('HDEL', policy, 'r:' .. word()) end
  for _ = 1, number() do
    local name, wanted = 'r:' .. word(), number()
    if wanted == 0 then wanted = fresh end
    if wanted > tonumber(redis.call('HGET', policy, name) or '0') then
      redis.call('HSET', policy, name, text(wanted))
    end
    fresh = math.max(fresh, wanted)
  end
  redis.call('HSET', policy, 'resets', changed, 'reset', text(fresh))
  known[8] = changed
  return {1}
end

-- Answers a word that stands for the resets of the policy, and all of them if the caller knows another word.
function operations.resets()
  local current = known[8] or ''
  local answer = {current}
  if word() == current then return answer end
  local all = redis.call('HGETALL', policy)
  for index = 1, #all, 2 do
    local name = string.match(all[index], '^r:(.*)$')
    if name then
      table.insert(answer, name)
      table.insert(answer, all[index + 1])
    end
  end
  return answer
end

local answers = {'ok'}
while at < #ARGV do
  table.insert(answers, operations[word()]())
end
save_counts()
return answers
