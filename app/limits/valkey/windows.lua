-- Moving windows of a minute: counts in all of KEYS, or in none. Times are microseconds of the server's clock.
-- KEYS: lists of times, the newest first. With ARGV[2] the last one is a hash: hits of this minute in all lists of its kind.
-- ARGV: what to do: hit, test, give_back; the most hits in that hash, or 0; then the size and the amount of each window.
-- Returns the number of the window that is full, or 0; the time; then the oldest time and the count of each window, or of that one.
local MINUTE, CHUNK = 60000000, 1000
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local action, most_of_all = ARGV[1], tonumber(ARGV[2])
local windows = most_of_all > 0 and #KEYS - 1 or #KEYS

-- A time that is a minute ahead was written before the clock was set back.
local function drop_old(key)
  local newest = redis.call('LINDEX', key, 0)
  while newest and tonumber(newest) > now + MINUTE do
    redis.call('LPOP', key)
    newest = redis.call('LINDEX', key, 0)
  end
  local oldest = redis.call('LINDEX', key, -1)
  while oldest and tonumber(oldest) <= now - MINUTE do
    local later = redis.call('LINDEX', key, -CHUNK)
    if later and tonumber(later) <= now - MINUTE then
      redis.call('LTRIM', key, 0, -CHUNK - 1)
    else
      redis.call('RPOP', key)
    end
    oldest = redis.call('LINDEX', key, -1)
  end
  return oldest and tonumber(oldest) or now
end

local function add(key, amount)
  local at = string.format('%.0f', now)
  local times = {}
  for i = 1, math.min(amount, CHUNK) do times[i] = at end
  for done = 0, amount - 1, CHUNK do
    redis.call('LPUSH', key, unpack(times, 1, math.min(CHUNK, amount - done)))
  end
  redis.call('EXPIRE', key, 61)
end

local answer = {0, now}
for i = 1, windows do
  local size, amount = tonumber(ARGV[2 * i + 1]), tonumber(ARGV[2 * i + 2])
  local oldest, count = drop_old(KEYS[i]), redis.call('LLEN', KEYS[i])
  if action == 'give_back' then
    redis.call('LPOP', KEYS[i])
  elseif count + amount > size then
    return {i, now, oldest, count}
  end
  answer[2 * i + 1], answer[2 * i + 2] = oldest, count
end
if action ~= 'hit' then return answer end

if most_of_all > 0 then
  local minute, key = string.format('%.0f', math.floor(now / MINUTE)), KEYS[#KEYS]
  if redis.call('HGET', key, 'minute') ~= minute then
    redis.call('HSET', key, 'minute', minute, 'count', 0)
    redis.call('EXPIRE', key, 61)
  end
  if tonumber(redis.call('HGET', key, 'count')) + 1 > most_of_all then
    return {1, now, answer[3], answer[4]}
  end
  redis.call('HINCRBY', key, 'count', 1)
end
for i = 1, windows do
  local amount = tonumber(ARGV[2 * i + 2])
  add(KEYS[i], amount)
  answer[2 * i + 2] = answer[2 * i + 2] + amount
end
return answer
