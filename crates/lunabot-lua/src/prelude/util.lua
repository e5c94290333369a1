-- The helpers of util that Lua says best: everything here may wait.
local host = ...
local next, type, select, error, rawget = next, type, select, error, rawget
local setmetatable, tostring, math = setmetatable, tostring, math
local sort = table.sort
local find, sub, gsub, gmatch, match = string.find, string.sub, string.gsub, string.gmatch, string.match
local null, raise, keys_of = host.null, host.raise, host.keys_of

local util = { null = null, log = {} }
local RESULTS = { [0] = "success", "warnings", "failure", "skipped", "exception", "retry", "cancelled" }
util.Results = RESULTS
-- Values of stringsMatcher of util.Authz.
util.fnmatchStrMatcher, util.reStrMatcher = "fnmatch", "regex"
for code = 0, 6 do util[RESULTS[code]:upper()] = code end
local WORST = { 6, 5, 4, 2, 1, 0, 3 }

local MANY = { [0] = "successes", "warnings", "failures", "skipped", "exceptions", "retries", "cancelled" }

function util.statusToString(code, count)
  if code == nil or code == null then return "not finished" end
  return ((count or 1) > 1 and MANY or RESULTS)[code] or "Invalid status"
end
function util.worst_status(a, b)
  if (a == nil or a == null) and (b == nil or b == null) then return nil end
  for i = 1, #WORST do
    if a == WORST[i] or b == WORST[i] then return WORST[i] end
  end
  raise("util.worst_status takes two results")
end
function util.is_null(v) return v == null end
function util.truthy(v)
  return not (v == nil or v == null or v == false or v == "" or v == 0 or (type(v) == "table" and next(v) == nil))
end
function util.fail(message) host.fail(tostring(message)) end
for _, level in next, { "debug", "info", "warn", "error" } do
  util.log[level] = function(message, fields) host.log(level, tostring(message), fields) end
end

local function want_table(v, what)
  if type(v) ~= "table" then raise(what .. " takes a table, got " .. type(v)) end
  return host.shared[v] or v
end

function util.merge(...)
  local result = {}
  for i = 1, select("#", ...) do
    local t = select(i, ...)
    if t ~= nil and t ~= null then
      for k, v in next, want_table(t, "util.merge") do result[k] = v end
    end
  end
  return result
end
function util.concat(...)
  local result, n = {}, 0
  for i = 1, select("#", ...) do
    local t = select(i, ...)
    if t ~= nil and t ~= null then
      want_table(t, "util.concat")
      for j = 1, #t do n = n + 1; result[n] = t[j] end
    end
  end
  return result
end
function util.map(list, fn)
  local result = {}
  for i = 1, #want_table(list, "util.map") do result[i] = fn(list[i]) end
  return result
end
function util.filter(list, fn)
  local result, n = {}, 0
  for i = 1, #want_table(list, "util.filter") do
    local v = list[i]
    if fn(v) then n = n + 1; result[n] = v end
  end
  return result
end
function util.any(list, fn)
  for i = 1, #want_table(list, "util.any") do
    local v = list[i]
    if fn then v = fn(v) end
    if v then return true end
  end
  return false
end
local function equal(a, b)
  if a == b then return true end
  if type(a) ~= "table" or type(b) ~= "table" then return false end
  for k, v in next, a do if not equal(v, b[k]) then return false end end
  for k in next, b do if a[k] == nil then return false end end
  return true
end
util.equal = equal
function util.contains(where, what)
  if type(where) == "string" then return find(where, what, 1, true) ~= nil end
  if where == nil then return false end
  for _, v in next, want_table(where, "util.contains") do if equal(v, what) then return true end end
  return false
end
function util.set(list)
  local result = {}
  for _, v in next, want_table(list, "util.set") do result[v] = true end
  return result
end
function util.keys(t) return (keys_of(want_table(t, "util.keys"))) end
function util.values(t)
  local keys, count = keys_of(want_table(t, "util.values"))
  for i = 1, count do keys[i] = t[keys[i]] end
  return keys
end
function util.sorted(list, less)
  if less ~= nil and type(less) ~= "function" then
    raise("util.sorted takes a list and a function that compares two items; for another order: util.sort_by(list, function(item) … end, {reverse = true})")
  end
  local result = util.concat(want_table(list, "util.sorted"))
  sort(result, less)
  return result
end

-- nil sorts last; arrays are compared item by item.
local function before_key(a, b)
  if a == nil or b == nil then return a ~= nil end
  if type(a) == "table" and type(b) == "table" then
    for i = 1, math.max(#a, #b) do
      if not equal(a[i], b[i]) then return before_key(a[i], b[i]) end
    end
    return false
  end
  if type(a) == "boolean" and type(b) == "boolean" then return not a and b end
  if type(a) ~= type(b) or type(a) ~= "number" and type(a) ~= "string" then
    raise("util.sort_by: keys cannot be compared: a " .. type(a) .. " and a " .. type(b) .. "; make them all numbers, all texts, or lists of such")
  end
  return a < b
end
function util.sort_by(list, key_fn, options)
  if type(key_fn) ~= "function" or options ~= nil and type(options) ~= "table" then
    raise("takes a list and a function that gives an item's key: util.sort_by(list, function(item) … end, {reverse = true})")
  end
  local rows, reverse = {}, options and options.reverse
  for i = 1, #want_table(list, "util.sort_by") do rows[i] = { key = key_fn(list[i]), place = i, value = list[i] } end
  sort(rows, function(a, b)
    if equal(a.key, b.key) then return a.place < b.place end
    if a.key == nil or b.key == nil then return a.key ~= nil end
    if reverse then return before_key(b.key, a.key) end
    return before_key(a.key, b.key)
  end)
  for i = 1, #rows do rows[i] = rows[i].value end
  return rows
end

-- For split_file of SVNPoller (02.015-02.017): paths to branch and path within it.
local svn = {}
function svn.split_file_alwaystrunk(path) return { path = path } end
function svn.split_file_branches(path)
  local file = match(path, "^trunk/(.*)$")
  if file then return nil, file end
  return match(path, "^(branches/[^/]*)/(.*)$")
end
function svn.split_file_projects_branches(path)
  local project, rest = match(path, "^([^/]*)/(.*)$")
  if not project then return nil end
  local branch, file = svn.split_file_branches(rest)
  return file and { project = project, branch = branch, path = file } or nil
end
util.svn = svn

local function want_text(v, what)
  if type(v) ~= "string" then raise(what .. " takes a text, got " .. (v == null and "util.null" or type(v))) end
  return v
end
function util.split(text, separator, max)
  want_text(text, "util.split")
  local result, n, from = {}, 0, 1
  if separator == nil then
    for word in gmatch(text, "%S+") do n = n + 1; result[n] = word end
    return result
  end
  if separator == "" then raise("util.split needs a separator that is not empty") end
  while not max or n < max do
    local at, stop = find(text, separator, from, true)
    if not at then break end
    n = n + 1
    result[n] = sub(text, from, at - 1)
    from = stop + 1
  end
  result[n + 1] = sub(text, from)
  return result
end
function util.strip(text) return (gsub(gsub(want_text(text, "util.strip"), "^%s+", ""), "%s+$", "")) end
function util.startswith(text, start)
  return sub(want_text(text, "util.startswith"), 1, #want_text(start, "util.startswith")) == start
end
function util.endswith(text, ending)
  want_text(text, "util.endswith")
  return want_text(ending, "util.endswith") == "" or sub(text, -#ending) == ending
end

util.path = {}
function util.path.join(...)
  local result = ""
  for i = 1, select("#", ...) do
    local part = want_text((select(i, ...)), "util.path.join")
    if sub(part, 1, 1) == "/" or result == "" then result = part
    elseif sub(result, -1) == "/" then result = result .. part
    else result = result .. "/" .. part end
  end
  return result
end
function util.path.basename(path) return (gsub(want_text(path, "util.path.basename"), "^.*/", "")) end
function util.path.dirname(path)
  local folder = match(want_text(path, "util.path.dirname"), "^(.*)/[^/]*$") or ""
  if folder == "" and sub(path, 1, 1) == "/" then return "/" end
  return folder
end

function util.timedelta(t)
  local seconds = 0
  local units = { weeks = 604800, days = 86400, hours = 3600, minutes = 60, seconds = 1, milliseconds = 0.001 }
  for unit, n in next, want_table(t, "util.timedelta") do
    if not units[unit] then raise("util.timedelta: unknown unit " .. tostring(unit)) end
    n = tonumber(n) or n
    if type(n) ~= "number" then raise("util.timedelta: " .. unit .. ": expected a number, got " .. (type(n) == "string" and "a text" or "a " .. type(n))) end
    seconds = seconds + n * units[unit]
  end
  return seconds
end

host.util_table = util

-- What is written in Rust.
for name, fn in next, host.util do util[name] = fn end

