-- Settlements of reservations at other callgates than those that have made them. They are letters to all; the callgate that
-- knows the reservation takes its letter, settles, and leaves the result under the letter's name.
--
-- KEYS: the letters; then the result of a letter, for `post`, `done` and `look`.
-- ARGV: a word and its arguments.
local letters, result = KEYS[1], KEYS[2]
-- Microseconds that a letter is kept, and milliseconds that a result is.
local LETTERS, RESULTS = 60000000, 60000
local operations = {}

local function last_score()
  return tonumber(redis.call('ZREVRANGE', letters, 0, 0, 'WITHSCORES')[2] or '0')
end

-- Posts a letter. Scores grow, so that who reads on from a score misses none.
function operations.post(letter)
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
  local score = math.max(now, last_score() + 1)
  redis.call('ZREMRANGEBYSCORE', letters, '-inf', score - LETTERS)
  redis.call('ZADD', letters, string.format('%.0f', score), letter)
  redis.call('PEXPIRE', letters, LETTERS / 1000)
  return {1}
end

-- Answers letters after a score, each with its own: all of them if the letters have been lost since.
function operations.read(since)
  if last_score() < tonumber(since) then since = '0' end
  return redis.call('ZRANGEBYSCORE', letters, '(' .. since, '+inf', 'WITHSCORES', 'LIMIT', 0, 256)
end

-- Takes a letter. Of two who try, and of one who tries and one who withdraws it, one has it.
function operations.take(letter)
  return {redis.call('ZREM', letters, letter)}
end

function operations.done(outcome)
  redis.call('SET', result, outcome, 'PX', RESULTS)
  return {1}
end

-- Answers the result; else withdraws the letter if it is time to, and answers if nobody has taken it.
function operations.look(letter, is_time)
  local outcome = redis.call('GET', result)
  if outcome then return {outcome} end
  if is_time == '1' and redis.call('ZREM', letters, letter) == 1 then return {'withdrawn'} end
  return {'none'}
end

return operations[ARGV[1]](ARGV[2], ARGV[3])
