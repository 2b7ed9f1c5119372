-- Agrees on the epoch of a policy: the time for which this server has kept everything that nodes were granted.
--
-- KEYS: the policy, its nodes, its wanted counts, and the version in force, which callgates of all versions look at.
-- ARGV: the identity of this server, a word that is new, the epoch that the caller knows (may be empty), the fingerprint
-- of the key by which the caller names counts, the time for which lent units may be in use after a lease (0: it knows of
-- none), the version of the caller.
local policy = KEYS[1]
local identity, new, known, fingerprint = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local version = redis.call('HGET', KEYS[4], 'version')
if version and version ~= ARGV[6] then return {'version', version} end
local found = redis.call('HMGET', policy, 'epoch', 'key', 'ahead')
local function tell_ahead()
  if tonumber(ARGV[5]) > tonumber(found[3] or '0') then redis.call('HSET', policy, 'ahead', ARGV[5]) end
end
local epoch = found[1]
if found[2] and found[2] ~= fingerprint then return {'key', found[2]} end
if not version then redis.call('HSET', KEYS[4], 'version', ARGV[6]) end
if epoch and string.sub(epoch, 1, #identity + 1) == identity .. ':' then
  -- The caller was granted units in another epoch, so this one does not know all that are in use.
  if known ~= '' and known ~= epoch then redis.call('HSET', policy, 'lost', '1') end
  -- Changes nothing, and fails where the server takes no writes: a connection alone does not show that.
  redis.call('HSET', policy, 'key', fingerprint)
  tell_ahead()
  return {'ok', epoch}
end
local time = redis.call('TIME')
local now = string.format('%.0f', tonumber(time[1]) * 1000000 + tonumber(time[2]))
local lost = (epoch or known ~= '') and '1' or '0'
epoch = identity .. ':' .. new
local nodes = redis.call('HGETALL', KEYS[2])
for index = 1, #nodes, 2 do redis.call('DEL', policy .. ':held:' .. nodes[index]) end
redis.call('DEL', KEYS[2], KEYS[3])
redis.call('HSET', policy, 'epoch', epoch, 'begun', now, 'seen', now, 'lost', lost, 'key', fingerprint,
  'cleaned', '0', 'oldest', '0')
tell_ahead()
return {'ok', epoch}
