-- lunabot.test: what *_test.lua files are written with. Only where `lunabot test` has loaded one.
local host = ...
local type, next, pcall, tostring, setmetatable, rawget, format = type, next, pcall, tostring, setmetatable, rawget, string.format
local gmatch, gsub, lower, sub, concat = string.gmatch, string.gsub, string.lower, string.sub, table.concat
local raise, util, null, keys_of = host.raise, host.util_table, host.null, host.keys_of
local MAX_SHOWN, MAX_DIFFERENCES = 2000, 10

local t, cases, seams = {}, {}, {}
host.test_cases = cases

-- A value as a failure shows it.
local function show(v)
  if v == null then return "util.null" end
  local text
  if type(v) == "string" then
    text = '"' .. gsub(gsub(v, "[\\\"]", "\\%0"), "\n", "\\n") .. '"'
  elseif type(v) == "table" then
    local ok, json = pcall(host.util.to_json, v)
    text = ok and json or tostring(v)
  else
    text = tostring(v)
  end
  if #text > MAX_SHOWN then text = sub(text, 1, MAX_SHOWN) .. "…" end
  return text
end

local function fail(what, text)
  raise((what and tostring(what) .. ": " or "") .. text)
end

-- A test: t.test(name, fn) or t.test(name, {at = "2024-03-31T00:30:00+01:00"}, fn).
function t.test(name, options, fn)
  if fn == nil then options, fn = {}, options end
  if type(name) ~= "string" or type(options) ~= "table" or type(fn) ~= "function" then
    raise('t.test takes a name, perhaps options, and a function: t.test("name", function(m) … end)')
  end
  if gsub(name, "%s", "") == "" then raise("t.test: a test needs a name that says what it is about") end
  for key in next, options do
    if key ~= "at" then raise(format("t.test: %s: unknown option; there is `at`", tostring(key))) end
  end
  local at = options.at
  if type(at) == "string" then
    local ok, seconds = pcall(util.parse_date, at)
    if not ok or type(seconds) ~= "number" then raise('t.test: at: expected a time such as "2024-03-31T00:30:00+01:00", got ' .. show(at)) end
    at = seconds
  elseif at ~= nil and type(at) ~= "number" then
    raise("t.test: at is a text or seconds since 1970")
  end
  for i = 1, #cases do
    if cases[i].name == name then raise("t.test: there are two tests with the name " .. show(name)) end
  end
  cases[#cases + 1] = { name = name, at = at, fn = fn }
end

function t.equal(had, expected, what)
  if had == expected and type(had) == type(expected) then return end
  if type(had) == "table" and type(expected) == "table" then
    fail(what, "t.equal compares one value; for lists and tables there is t.same")
  end
  fail(what, "expected " .. show(expected) .. ", had " .. show(had))
end

-- Rows in which only what is there may be asked for.
local rows = setmetatable({}, { __mode = "k" })
local function item(t, k)
  if rows[t] then return rawget(t, k) end
  return t[k]
end

local function differences(had, expected, path, found)
  if #found >= MAX_DIFFERENCES or had == expected then return found end
  if type(had) ~= "table" or type(expected) ~= "table" then
    found[#found + 1] = format("%s: expected %s, had %s", path == "" and "the value" or path, show(expected), show(had))
    return found
  end
  local both = util.merge(had, expected)
  local keys, count = keys_of(both)
  for i = 1, count do
    local k = keys[i]
    local place = type(k) == "number" and format("%s[%s]", path, k) or path == "" and tostring(k) or format("%s.%s", path, tostring(k))
    differences(item(had, k), item(expected, k), place, found)
  end
  return found
end

function t.same(had, expected, what)
  local found = differences(had, expected, "", {})
  if #found == 0 then return end
  fail(what, concat(found, "\n") .. "\nexpected " .. show(expected) .. "\nhad      " .. show(had))
end

function t.truthy(value, what)
  if value == nil or value == false or value == null then fail(what, "expected a value, had " .. show(value)) end
end

function t.matches(text, pattern, what)
  if type(text) ~= "string" then fail(what, "expected a text that matches " .. show(pattern) .. ", had " .. show(text)) end
  if not util.re(pattern):search(text) then fail(what, show(text) .. " does not match " .. show(pattern)) end
end

function t.fail(message) raise(message == nil and "t.fail" or tostring(message)) end

-- The error that a function raises, as a text.
function t.error(fn, pattern, what)
  if type(fn) ~= "function" then raise("t.error takes a function: t.error(function() … end, \"pattern\")") end
  local ok, message = host.env.pcall(fn)
  if ok then fail(what, "expected an error, there was none") end
  message = tostring(message)
  if pattern ~= nil then t.matches(message, pattern, what) end
  return message
end

-- What would leave the process. Nothing does in a test: the test answers, or the call fails and says how to answer.
local function seam(name, fn)
  if type(fn) ~= "function" then raise(format("t.%s takes a function", name)) end
  seams[name] = fn
end
function t.on_http(fn) seam("on_http", fn) end
function t.on_process(fn) seam("on_process", fn) end

function host.http_request(_, options)
  local asked = format("%s %s", options.method, tostring(options.url))
  if not seams.on_http then
    raise(format("util.http: %s: a test asks no server; answer it: t.on_http(function(request) return {status = 200, body = \"…\"} end)", asked))
  end
  local answer = seams.on_http(options)
  if type(answer) ~= "table" then raise("t.on_http returned no answer to " .. asked .. "; return {status = 200, body = \"…\"}") end
  local headers = {}
  for name, value in next, answer.headers or {} do headers[lower(name)] = value end
  local body = answer.body or answer.json ~= nil and host.util.to_json(answer.json) or ""
  local status = answer.status or 200
  return { status = status, ok = status < 400, url = options.url, headers = headers, cookies = {}, text = body, body = body }
end

function util.process(given)
  if type(given) ~= "table" then given = { command = given } end
  local command = given.command or given[1]
  local shown = type(command) == "table" and concat(command, " ") or tostring(command)
  if not seams.on_process then
    raise(format("util.process: %s: a test runs no programs; answer it: t.on_process(function(command) return {rc = 0, stdout = \"…\"} end)", shown))
  end
  local answer = seams.on_process(shown, given)
  if type(answer) ~= "table" then raise("t.on_process returned no answer to " .. shown .. "; return {rc = 0, stdout = \"…\"}") end
  if type(given.on_line) == "function" then
    for line in gmatch(answer.stdout or "", "([^\n]*)\n?") do
      if line ~= "" then given.on_line(line) end
    end
    return { rc = answer.rc or 0, stdout = "", stderr = answer.stderr or "" }
  end
  return { rc = answer.rc or 0, stdout = answer.stdout or "", stderr = answer.stderr or "" }
end

-- What a row has not is a mistake, unless it is only nil now.
function host.strict_row(row, about)
  local absent = util.set(about.absent)
  rows[row] = true
  setmetatable(row, { __index = function(_, name)
    if absent[name] then return nil end
    local near = host.nearest(tostring(name), util.concat(util.keys(row), about.absent))
    raise(format("%s has no %s%s", about.of, tostring(name), near and ", did you mean " .. near .. "?" or ""))
  end })
end

setmetatable(t, { __index = function(_, name)
  raise(format("lunabot.test has no %s; there are test equal same truthy matches fail error on_http on_process", tostring(name)))
end })
host.env.package.loaded["lunabot.test"] = t

-- What a configuration or a test prints is for who runs the test.
function host.env.print(...)
  local parts = { n = select("#", ...), ... }
  for i = 1, parts.n do parts[i] = tostring(parts[i]) end
  io.stderr:write(concat(parts, "\t", 1, parts.n), "\n")
end
