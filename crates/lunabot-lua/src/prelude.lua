-- What Lunabot's Lua has beyond the stock libraries, as far as Lua says it best: everything here may wait.
-- Runs once per interpreter, before any code of the user. `host` holds the functions written in Rust.
local host = ...
local G = _G
local next, type, select, error, rawget, rawset = next, type, select, error, rawget, rawset
local getmetatable, setmetatable, tostring, pcall = getmetatable, setmetatable, tostring, pcall
local sort, pack, unpack = table.sort, table.pack, table.unpack
local find, sub, gsub, gmatch, format = string.find, string.sub, string.gsub, string.gmatch, string.format
local null, orders, raise = host.null, host.orders, host.raise

-- Errors of functions written in Rust are texts to whoever catches them.
local function plain(err)
  if type(err) == "userdata" then return host.message(err) end
  return err
end
local function caught(ok, err, ...)
  if ok then return true, err, ... end
  return false, plain(err)
end
local xpcall = G.xpcall
local function user_pcall(fn, ...) return caught(pcall(fn, ...)) end
local function user_xpcall(fn, handler, ...)
  return xpcall(fn, function(err) return handler(plain(err)) end, ...)
end

-- coroutine: the user's own yields are marked, so that the host's waits pass through to the host.
local co = G.coroutine
local co_yield, co_resume, co_isyieldable, co_status = co.yield, co.resume, co.isyieldable, co.status
local MARK = {}
local coroutine = {
  create = co.create, status = co_status, running = co.running, isyieldable = co_isyieldable, close = co.close,
}

function coroutine.yield(...)
  return co_yield(MARK, ...)
end

local function forward(thread, ok, mark, ...)
  while true do
    if not ok then return false, plain(mark), ... end
    if mark == MARK then return true, ... end
    if co_status(thread) == "dead" then return true, mark, ... end
    local answer
    if co_isyieldable() then
      if mark == nil then answer = pack(co_yield()) else answer = pack(co_yield(mark, ...)) end
    elseif mark ~= nil then
      co.close(thread)
      return false, "cannot wait here (a comparator of table.sort, a callback of string.gsub, or a C function)"
    else
      answer = { n = 0 }
    end
    return forward(thread, co_resume(thread, unpack(answer, 1, answer.n)))
  end
end

function coroutine.resume(thread, ...)
  return forward(thread, co_resume(thread, ...))
end

local function unwrapped(ok, ...)
  if ok then return ... end
  error((...), 0)
end

function coroutine.wrap(fn)
  local thread = co.create(fn)
  return function(...) return unwrapped(forward(thread, co_resume(thread, ...))) end
end

-- pairs: numbers, then texts, each in order; documents in their own.
local function in_order(a, b) return a < b end
local function reversed(a, b) return a > b end
local before = host.reverse_pairs and reversed or in_order

local function keys_of(t)
  local numbers, texts, others, n, m, o = {}, {}, {}, 0, 0, 0
  for k in next, t do
    local kind = type(k)
    if kind == "number" then n = n + 1; numbers[n] = k
    elseif kind == "string" then m = m + 1; texts[m] = k
    else o = o + 1; others[o] = k end
  end
  local written = orders[t]
  if written then
    local place = {}
    for i = 1, #written do place[written[i]] = i end
    sort(texts, function(a, b)
      local x, y = place[a], place[b]
      if x and y then return x < y end
      if x or y then return x ~= nil end
      return a < b
    end)
  elseif m > 1 then
    sort(texts, before)
  end
  if n > 1 then sort(numbers) end
  for i = 1, m do numbers[n + i] = texts[i] end
  for i = 1, o do numbers[n + m + i] = others[i] end
  return numbers, n + m + o
end

local function pairs(t)
  local meta = getmetatable(t)
  if type(meta) == "table" and rawget(meta, "__pairs") ~= nil then return meta.__pairs(t) end
  if type(t) ~= "table" then
    if type(t) == "userdata" then return G.pairs(t) end
    raise("pairs takes a table, got " .. type(t), 2)
  end
  local keys, count = keys_of(t)
  local i = 0
  return function()
    while i < count do
      i = i + 1
      local k = keys[i]
      local v = t[k]
      if v ~= nil then return k, v end
    end
  end, t, nil
end

-- The user's globals.
local env = {}
for name in gmatch("assert error getmetatable ipairs next rawequal rawget rawlen rawset select tonumber tostring type _VERSION", "%S+") do
  env[name] = G[name]
end
for name in gmatch("math string table utf8", "%S+") do
  local copy = {}
  for k, v in next, G[name] do copy[k] = v end
  env[name] = copy
end
env._G = env
env.pcall, env.xpcall = user_pcall, user_xpcall
env.pairs = pairs
env.coroutine = coroutine
env.debug = { traceback = G.debug.traceback }

function env.setmetatable(t, meta)
  if type(meta) == "table" and rawget(meta, "__gc") ~= nil then
    raise("__gc is not possible here: nothing could stop it; use a <close> variable")
  end
  return setmetatable(t, meta)
end

function env.collectgarbage(what)
  if what == "count" then return G.collectgarbage("count") end
  return 0
end

function env.print(...)
  local parts = pack(...)
  for i = 1, parts.n do parts[i] = tostring(parts[i]) end
  host.log("info", G.table.concat(parts, "\t", 1, parts.n))
end

function env.warn(...) host.log("warn", G.table.concat({ ... })) end

function env.load(chunk, name, mode, scope)
  if type(chunk) == "function" then
    local parts = {}
    for piece in chunk do
      if piece == "" then break end
      parts[#parts + 1] = piece
    end
    chunk = G.table.concat(parts)
  end
  return G.load(chunk, name or "=(load)", "t", scope or env)
end

function env.dofile(name) return host.load_file(name, env)() end
function env.loadfile(name, _, scope)
  local ok, chunk = pcall(host.load_file, name, scope or env)
  if ok then return chunk end
  return nil, tostring(chunk)
end

env.os = {}
for name in gmatch("clock date difftime getenv time tmpname", "%S+") do env.os[name] = G.os[name] end
function env.os.rename(a, b) return G.os.rename(host.absolute(a), host.absolute(b)) end
function env.os.remove(a) return G.os.remove(host.absolute(a)) end
function env.os.exit() raise("os.exit is not possible in a configuration; raise an error to refuse to load") end
function env.os.execute() raise("os.execute would block the master; use util.process{command = …}") end

env.io = { type = G.io.type }
function env.io.popen() raise("io.popen would block the master; use util.process{command = …}") end
function env.io.open(name, mode) return G.io.open(host.absolute(name), mode) end
function env.io.lines(name, ...)
  if name == nil then raise("io.lines needs a file: a master has no standard input") end
  return G.io.lines(host.absolute(name), ...)
end
function env.io.write(...) host.log("info", G.table.concat({ ... })) end
function env.io.read() raise("io.read is not possible: a master has no standard input") end

-- require: beside master.lua, then the folders of $LUNABOT_LUA_PATH, then the shared ones. Modules may wait.
local loaded, loading = {}, {}
env.package = { loaded = loaded, path = host.search_path, config = G.package and G.package.config or "/\n;\n?\n!\n-\n" }
for _, name in next, { "math", "string", "table", "utf8", "os", "io", "coroutine" } do loaded[name] = env[name] end

function env.require(name)
  local known = loaded[name]
  if known ~= nil then return known end
  if type(name) ~= "string" then raise("require takes the name of a module", 2) end
  if loading[name] then raise("module " .. name .. " requires itself") end
  local loader, path = host.find_module(name, env)
  loading[name] = true
  local finished <close> = setmetatable({}, { __close = function() loading[name] = nil end })
  local result = loader(name, path)
  if loaded[name] == nil then loaded[name] = result == nil and true or result end
  return loaded[name], path
end

-- util
local util = { null = null, log = {} }
local RESULTS = { [0] = "success", "warnings", "failure", "skipped", "exception", "retry", "cancelled" }
util.Results = RESULTS
for code = 0, 6 do util[RESULTS[code]:upper()] = code end
local WORST = { 6, 5, 4, 2, 1, 0, 3 }

function util.statusToString(code) return RESULTS[code] or "not finished" end
function util.worst_status(a, b)
  for i = 1, #WORST do
    if a == WORST[i] or b == WORST[i] then return WORST[i] end
  end
  raise("util.worst_status takes two results")
end
function util.is_null(v) return v == null end
function util.truthy(v)
  return not (v == nil or v == null or v == false or v == "" or v == 0 or (type(v) == "table" and next(v) == nil))
end
function util.fail(message) error(message, 2) end
for _, level in next, { "debug", "info", "warn", "error" } do
  util.log[level] = function(message, fields) host.log(level, tostring(message), fields) end
end

local function want_table(v, what)
  if type(v) ~= "table" then raise(what .. " takes a table, got " .. type(v)) end
  return v
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
  return a < b
end
function util.sort_by(list, key_fn, options)
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

function util.split(text, separator, max)
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
function util.strip(text) return (gsub(gsub(text, "^%s+", ""), "%s+$", "")) end
function util.startswith(text, start) return sub(text, 1, #start) == start end
function util.endswith(text, ending) return ending == "" or sub(text, -#ending) == ending end

util.path = {}
function util.path.join(...)
  local result = ""
  for i = 1, select("#", ...) do
    local part = select(i, ...)
    if sub(part, 1, 1) == "/" or result == "" then result = part
    elseif sub(result, -1) == "/" then result = result .. part
    else result = result .. "/" .. part end
  end
  return result
end
function util.path.basename(path) return (gsub(path, "^.*/", "")) end
function util.path.dirname(path)
  local folder = string.match(path, "^(.*)/[^/]*$") or ""
  if folder == "" and sub(path, 1, 1) == "/" then return "/" end
  return folder
end

-- Tasks.
function util.gather(list, fn)
  local calls = {}
  for i = 1, #want_table(list, "util.gather") do
    local item = list[i]
    calls[i] = fn and function() return fn(item) end or item
  end
  return host.gather(calls)
end
local Task = {}
Task.__index = Task
function util.spawn(fn) return setmetatable({ handle = host.spawn(fn) }, Task) end
function Task:wait() return host.task_wait(self.handle) end
function Task:cancel() return host.task_cancel(self.handle) end

local Mutex = {}
Mutex.__index = Mutex
function util.mutex() return setmetatable({ handle = host.mutex() }, Mutex) end
function Mutex:with(fn)
  local guard <close> = host.mutex_lock(self.handle)
  return fn()
end

for name, fn in next, host.util do util[name] = fn end

-- load_ini: sections in their order, values are texts; section:bool/int/list(key, default).
local Section = {}
Section.__index = Section
local BOOLS = { ["1"] = true, yes = true, ["true"] = true, on = true, ["0"] = false, no = false, ["false"] = false, off = false }
function Section:bool(key, default)
  local v = rawget(self, key)
  if v == nil then return default end
  local b = BOOLS[v:lower()]
  if b == nil then raise(key .. " is not a boolean: " .. v) end
  return b
end
function Section:int(key, default)
  local v = rawget(self, key)
  if v == nil then return default end
  return math.tointeger(tonumber(v)) or raise(key .. " is not a whole number: " .. v)
end
function Section:list(key, default)
  local v = rawget(self, key)
  if v == nil then return default end
  local list = {}
  for item in gmatch(v, "[^,\n]+") do
    item = util.strip(item)
    if item ~= "" then list[#list + 1] = item end
  end
  return list
end
local function put(t, key, value)
  if rawget(t, key) == nil then orders[t][#orders[t] + 1] = key end
  t[key] = value
end
local function parse_ini(text, file)
  local ini, number, section, last = {}, 0, nil, nil
  orders[ini] = {}
  local function wrong(what) raise((file and file .. ":" or "line ") .. number .. ": " .. what) end
  for line in gmatch(text .. "\n", "(.-)\r?\n") do
    number = number + 1
    local name = string.match(line, "^%s*%[(.-)%]%s*$")
    local key, value = string.match(line, "^([^%s#;:=][^:=]-)%s*[:=]%s*(.-)%s*$")
    if find(line, "^%s*$") or find(line, "^%s*[#;]") then
      -- nothing
    elseif name then
      section = ini[name] or setmetatable({}, Section)
      orders[section] = orders[section] or {}
      put(ini, name, section)
      last = nil
    elseif find(line, "^%s") and last then
      section[last] = section[last] .. "\n" .. util.strip(line)
    elseif not section then wrong("a [section] is missing before " .. line)
    elseif key then
      put(section, key, value)
      last = key
    else wrong("expected key = value, got " .. line) end
  end
  return ini
end
function util.parse_ini(text) return parse_ini(text) end
function util.load_ini(name) return parse_ini(util.read_file(name), name) end

function util.timedelta(t)
  local seconds = 0
  local units = { weeks = 604800, days = 86400, hours = 3600, minutes = 60, seconds = 1, milliseconds = 0.001 }
  for unit, n in next, want_table(t, "util.timedelta") do
    if not units[unit] then raise("util.timedelta: unknown unit " .. tostring(unit)) end
    seconds = seconds + n * units[unit]
  end
  return seconds
end

-- The default rule is the engine's; it comes with the requests.
util.BuildRequest = { canBeCollapsed = function(_, req1, req2) return req1:canBeCollapsed(req2) end }

-- lunabot.master: only inside callbacks.
local function call(op)
  return function(...) return host.master(op, ...) end
end
local master = { data = { get = call("data.get"), control = call("data.control") }, state = {}, mq = {} }
master.data.updates = setmetatable({}, { __index = function(_, name) return call("data.updates." .. name) end })
master.state.get, master.state.set = call("state.get"), call("state.set")
local locks = setmetatable({}, { __mode = "v" })
function master.state.update(key, fn)
  local lock = locks[key] or util.mutex()
  locks[key] = lock
  return lock:with(function()
    local value = fn(master.state.get(key))
    master.state.set(key, value)
    return value
  end)
end
function master.mq.subscribe() raise("mq.subscribe is not supported yet") end
master.now = host.now
master.basedir = host.basedir
setmetatable(master, { __index = function(_, name)
  if name == "config" then raise("master.config is not supported yet") end
  raise("master has no " .. tostring(name))
end })

host.env, host.util_table, host.master_table = env, util, master
return host
