-- string.find and its like: quick ones run in the stock functions, those that may take long in ours, which can be stopped.
local host = ...
local type = type
local string, huge, floor = string, math.huge, math.floor
local find, match, gmatch, gsub = string.find, string.match, string.gmatch, string.gsub

-- With k repetitions a match takes up to n^(k+1) steps; so long may a text of k repetitions be for ten million.
local LENGTHS = { [0] = huge }
for k = 1, 32 do LENGTHS[k] = floor(1e7 ^ (1 / (k + 1))) end

-- Pattern to the length of the texts for which it is quick.
local known = {}
local count = 0
local function quick_up_to(pattern)
  -- A pattern that is wrong is told of by the stock function.
  if type(pattern) ~= "string" then return huge end
  local length = known[pattern]
  if length then return length end
  local _, repetitions = gsub(pattern, "[*+-]", "")
  local _, balances = gsub(pattern, "%%b", "")
  length = LENGTHS[repetitions + balances] or 0
  count = count + 1
  if count > 1000 then known, count = {}, 0 end
  known[pattern] = length
  return length
end

local function is_long(text, pattern)
  return type(text) == "string" and #text > quick_up_to(pattern)
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
