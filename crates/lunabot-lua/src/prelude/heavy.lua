-- Stock functions that may compute for long in one call, where nothing stops them: so that something does.
local host = ...
local next, type, check = next, type, host.check
local select, integer = select, math.tointeger
local sort, concat, move, rep = table.sort, table.concat, table.move, string.rep
local insert, remove = table.insert, table.remove

-- Items, and bytes, from which on a look at the time costs nothing to speak of.
local MANY, LONG = 1000, 65536

-- A function of Lua that compares is stopped where the stock comparison would go on.
local function in_order(a, b) return a < b end
function table.sort(list, less)
  if less == nil and type(list) == "table" and #list > MANY then less = in_order end
  return sort(list, less)
end

function table.concat(list, ...)
  if type(list) == "table" and #list > MANY then check() end
  return concat(list, ...)
end

function table.move(from, first, last, at, to)
  local whole, final, place = integer(first), integer(last), integer(at)
  local many = whole and final and place and final - whole > MANY
  if not many or type(from) ~= "table" then return move(from, first, last, at, to) end
  first, last, at = whole, final, place
  to = to or from
  if at > last or at <= first or to ~= from then
    for i = 0, last - first do to[at + i] = from[first + i] end
  else
    for i = last - first, 0, -1 do to[at + i] = from[first + i] end
  end
  return to
end

-- What moves the items behind it.
function table.insert(list, ...)
  if select("#", ...) > 1 and type(list) == "table" and #list > MANY then check() end
  return insert(list, ...)
end
function table.remove(list, ...)
  if select("#", ...) > 0 and type(list) == "table" and #list > MANY then check() end
  return remove(list, ...)
end

function string.rep(text, count, separator)
  if type(text) == "string" and type(count) == "number" then
    -- Nothing, however often, is nothing.
    if text == "" and (separator == nil or separator == "") then count = 1 end
    local between = type(separator) == "string" and #separator or 0
    if (#text + between + 1) * count > LONG then check() end
  end
  return rep(text, count, separator)
end

local function asks_before(fn)
  return function(text, ...)
    if type(text) == "string" and #text > LONG then check() end
    return fn(text, ...)
  end
end
for _, name in next, { "upper", "lower", "reverse", "byte" } do string[name] = asks_before(string[name]) end
for _, name in next, { "len", "offset", "codepoint" } do utf8[name] = asks_before(utf8[name]) end
