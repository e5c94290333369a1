-- string.find and its like: quick ones run in the stock functions, those that may take long in ours, which can be stopped.
local host = ...
local type, check = type, host.check
local string, huge, floor, max = string, math.huge, math.floor, math.max
local find, match, gmatch, gsub = string.find, string.match, string.gmatch, string.gsub

-- With k repetitions and q optional items a match takes up to 2^q * n^(k+1) steps, each of which may compare the whole
-- pattern. How long a text may be for so many.
local function length_for(steps, pattern)
  local _, repetitions = gsub(gsub(pattern, "%%%p", ""), "[*+-]", "")
  local _, balances = gsub(pattern, "%%b", "")
  local _, optional = gsub(pattern, "%?", "")
  local k, size = repetitions + balances, #pattern / 100
  if k > 0 then size = max(size, 1) end
  return floor((steps / (2.0 ^ optional * max(size, 0.01))) ^ (1 / (k + 1)))
end

-- Pattern to the length of the texts for which it is quick, and for which it is over at once.
local quick, brief, count = {}, {}, 0
local function learn(pattern)
  if count >= 1000 then quick, brief, count = {}, {}, 0 end
  count = count + 1
  -- A pattern that is wrong is told of by the stock function.
  if type(pattern) ~= "string" then return huge end
  quick[pattern], brief[pattern] = length_for(1e7, pattern), length_for(1e5, pattern)
  return brief[pattern]
end

-- Calls that are quick, but not over at once, between two looks at the time.
local EVERY, calls = 16, 0
local function is_long(text, pattern)
  if type(text) ~= "string" or pattern == nil or #text <= (brief[pattern] or learn(pattern)) then return false end
  if #text > quick[pattern] then return true end
  calls = calls + 1
  if calls >= EVERY then
    calls = 0
    check()
  end
  return false
end

function string.find(text, pattern, init, plain)
  if plain and type(text) == "string" and type(pattern) == "string" then return host.plain_find(text, pattern, init) end
  if not plain and is_long(text, pattern) then return host.slow_find(text, pattern, init) end
  return find(text, pattern, init, plain)
end
function string.match(text, pattern, init)
  if is_long(text, pattern) then return host.slow_match(text, pattern, init) end
  return match(text, pattern, init)
end
function string.gmatch(text, pattern, init)
  if is_long(text, pattern) then return host.slow_gmatch(text, pattern, init) end
  return gmatch(text, pattern, init)
end
function string.gsub(text, pattern, with, most)
  if is_long(text, pattern) then return host.slow_gsub(text, pattern, with, most) end
  return gsub(text, pattern, with, most)
end
