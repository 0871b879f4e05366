-- Sums of the last minute, by second of the server's clock. A window reaches back to the second of a minute ago.
-- KEYS: hashes from a second to its sum. ARGV: charge or settle, then for each of KEYS
--   charge: its size, and an amount: added in all of KEYS, or in none.
--   settle: the second of an earlier charge, or 0 for now, and what to add there, which may be negative.
-- Returns the number of the window that is full, or 0; the second; then for each window, or for that one, its sum, and the
-- seconds until it has room: for the amount if it is full, else for its whole size.
local SECONDS = 60
local time = redis.call('TIME')
local second = tonumber(time[1])
local now = second + time[2] / 1000000

-- The sums that count, by second, and their total. A second that is a minute ahead was written before the clock was set back.
local function read(key)
  local sums, total, gone, flat = {}, 0, {}, redis.call('HGETALL', key)
  for i = 1, #flat, 2 do
    local at = tonumber(flat[i])
    if at < second - SECONDS or at > second + SECONDS then
      gone[#gone + 1] = flat[i]
    else
      sums[at] = tonumber(flat[i + 1])
      total = total + sums[at]
    end
  end
  if #gone > 0 then redis.call('HDEL', key, unpack(gone)) end
  return sums, total
end

local function seconds_until(sums, total, size, amount)
  for at = second - SECONDS, second + SECONDS do
    if sums[at] then
      total = total - sums[at]
      if total + amount <= size then return math.max(1, math.ceil(at + SECONDS + 1 - now)) end
    end
  end
  return 1
end

local function add(key, at, amount)
  redis.call('HINCRBY', key, string.format('%.0f', at), string.format('%.0f', amount))
  redis.call('EXPIRE', key, SECONDS + 2)
end

if ARGV[1] == 'settle' then
  for i = 1, #KEYS do
    local at = tonumber(ARGV[2 * i])
    if at == 0 then at = second end
    if at >= second - SECONDS and at <= second + SECONDS then add(KEYS[i], at, tonumber(ARGV[2 * i + 1])) end
  end
  return {0, second}
end

local windows = {}
for i = 1, #KEYS do
  local size, amount = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  local sums, total = read(KEYS[i])
  if total + amount > size then return {i, second, total, seconds_until(sums, total, size, amount)} end
  sums[second] = (sums[second] or 0) + amount
  windows[i] = {sums, total + amount, size, amount}
end
local answer = {0, second}
for i = 1, #KEYS do
  local sums, total, size, amount = unpack(windows[i])
  add(KEYS[i], second, amount)
  answer[2 * i + 1], answer[2 * i + 2] = total, seconds_until(sums, total, size, size)
end
return answer
