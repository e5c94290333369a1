-- The user's environment: coroutines, pairs and pcall of ours, the stock libraries as far as they are safe, require.
-- Runs once per interpreter, before any code of the user. `host` holds the functions written in Rust.
local host = ...
local G = _G
local next, type, select, error, rawget, rawset = next, type, select, error, rawget, rawset
local getmetatable, setmetatable, tostring, pcall = getmetatable, setmetatable, tostring, pcall
local sort, concat, pack, unpack = table.sort, table.concat, table.pack, table.unpack
local find_text = string.find
local find, sub, gsub, gmatch, format = string.find, string.sub, string.gsub, string.gmatch, string.format
local null, orders, raise = host.null, host.orders, host.raise

-- Errors of functions written in Rust are texts to whoever catches them.
local function plain(err)
  if type(err) == "userdata" then return host.message(err) end
  -- Of what fails in a function of ours the caller's line is told.
  if type(err) == "string" and find(err, "^lunabot:") then return host.message(err) end
  if err == "attempt to yield across a C-call boundary" then return host.cannot_wait end
  return err
end
local co, xpcall = G.coroutine, G.xpcall
local stopped = host.stopped

-- How many calls that catch errors are within one another, in each coroutine. The stack of C, which bounds this where
-- nothing is interrupted, does not where something is; and an error takes its time to come out of each.
local CATCHING = 150
local catching, running = setmetatable({}, { __mode = "k" }), co.running
-- Also where it is dropped while it waits: the coroutine may be used again.
local LEAVES = setmetatable({}, { __close = function()
  local thread = running()
  catching[thread] = catching[thread] - 1
end })
local function catch(handler, fn, ...)
  local thread = running()
  local within = catching[thread] or 0
  if within == CATCHING then error("pcall within pcall, more than " .. CATCHING .. " deep", 2) end
  catching[thread] = within + 1
  local leaves <close> = LEAVES
  return xpcall(fn, handler, ...)
end
-- Asked where it fails, not where it is caught: the line is that of the former.
local function user_pcall(fn, ...) return catch(plain, fn, ...) end
local function user_xpcall(fn, handler, ...)
  return catch(function(err)
    -- Raised by the hook, within which nothing can be interrupted.
    if stopped() then return err end
    return handler(plain(err))
  end, fn, ...)
end

-- coroutine: the user's own yields are marked, so that the host's waits pass through to the host.
local co_yield, co_resume, co_isyieldable, co_status = co.yield, co.resume, co.isyieldable, co.status
local MARK = {}
local coroutine = {
  create = co.create, status = co_status, running = co.running, isyieldable = co_isyieldable,
}

-- What is to be closed in one that the hook has ended is not interrupted.
function coroutine.close(thread)
  host.check()
  return co.close(thread)
end

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
      if mark == nil then
        host.interrupted()
        answer = pack(co_yield())
      else
        answer = pack(co_yield(mark, ...))
      end
    elseif mark ~= nil then
      co.close(thread)
      return false, host.cannot_wait
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

-- Tables that several objects share are seen through others that cannot be written.
local shared = setmetatable({}, { __mode = "k" })
local views = setmetatable({}, { __mode = "kv" })
local function read_only(t, whose, name)
  local known = views[t]
  if known then return known end
  local view = setmetatable({}, {
    __index = function(_, k)
      local v = t[k]
      if type(v) == "table" and getmetatable(v) == nil then return read_only(v, whose, name) end
      return v
    end,
    __newindex = function()
      raise(format("%s is shared by all of %s; assign a table of its own: self.%s = util.concat(self.%s, {…})", name, whose, name, name))
    end,
    __len = function() return #t end,
    __pairs = function() return pairs(t) end,
  })
  shared[view], views[t] = t, view
  return view
end
host.read_only, host.shared = read_only, shared

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
-- Methods that the user adds are methods of texts.
getmetatable("").__index = env.string
env._G = env
function env.next(t, k) return next(shared[t] or t, k) end
env.pcall, env.xpcall = user_pcall, user_xpcall
env.pairs = pairs
env.coroutine = coroutine
env.debug = { traceback = G.debug.traceback }

-- Where the hook has raised, nothing can interrupt what closes variables.
local bounded = setmetatable({}, { __mode = "k" })
local function bound(close)
  if type(close) ~= "function" or bounded[close] then return close end
  local function closes(...)
    if not stopped() then return close(...) end
  end
  bounded[closes] = true
  return closes
end

function env.setmetatable(t, meta)
  if type(meta) == "table" then
    if rawget(meta, "__gc") ~= nil then
      raise("__gc is not possible here: nothing could stop it; use a <close> variable")
    end
    local close = rawget(meta, "__close")
    if close ~= nil then meta.__close = bound(close) end
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
  host.log("info", concat(parts, "\t", 1, parts.n))
end

function env.warn(...) host.log("warn", concat({ ... })) end

-- The table that was raised last: whoever shows the message wants what is in it, not where it lies.
local raised
function env.error(value, level)
  if type(value) == "table" then raised = value end
  if level == 0 then error(value, 0) end
  error(value, (level or 1) + 1)
end
function host.with_fields(message)
  if raised == nil then return message end
  local from, to = find(message, tostring(raised), 1, true)
  local ok, json = pcall(host.util.to_json, raised)
  if not from or not ok then return message end
  return sub(message, 1, from - 1) .. json .. sub(message, to + 1)
end

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
for name in gmatch("clock difftime getenv tmpname", "%S+") do env.os[name] = G.os[name] end
-- Now is what the master's clock says.
local function now() return host.now() // 1 | 0 end
function env.os.time(t) return t == nil and now() or G.os.time(t) end
function env.os.date(form, time) return G.os.date(form or "%c", time or now()) end
function env.os.rename(a, b) return G.os.rename(host.absolute(a), host.absolute(b)) end
function env.os.remove(a) return G.os.remove(host.absolute(a)) end
function env.os.exit() raise("os.exit is not possible in a configuration; raise an error to refuse to load") end
function env.os.execute() raise("os.execute would block the master; use util.process{command = …}") end

-- Where a program would write: the master's log.
local Stream = { __name = "FILE*" }
Stream.__index = Stream
function Stream:write(...)
  host.log("info", (gsub(G.table.concat({ ... }), "\n$", "")))
  return self
end
function Stream:flush() return self end
function Stream.setvbuf() return true end
function Stream.close() return nil, "the log of the master stays open" end

env.io = { stdout = setmetatable({}, Stream), stderr = setmetatable({}, Stream) }
function env.io.type(value)
  if getmetatable(value) == Stream then return "file" end
  return G.io.type(value)
end
function env.io.popen() raise("io.popen would block the master; use util.process{command = …}") end
function env.io.open(name, mode) return G.io.open(host.openable(name), mode) end
function env.io.lines(name, ...)
  if name == nil then raise("io.lines needs a file: a master has no standard input") end
  return G.io.lines(host.openable(name), ...)
end
function env.io.write(...) return env.io.stdout:write(...) end
function env.io.read() raise("io.read is not possible: a master has no standard input") end

-- require: beside master.lua, then the folders of $LUNABOT_LUA_PATH, then the shared ones. Modules may wait.
local loaded, loading, begun = {}, {}, 0
env.package = { loaded = loaded, path = host.search_path, config = G.package and G.package.config or "/\n;\n?\n!\n-\n" }
for _, name in next, { "math", "string", "table", "utf8", "os", "io", "coroutine" } do loaded[name] = env[name] end

local function circle(name)
  local way = {}
  for other, number in next, loading do
    if number > loading[name] then way[#way + 1] = other end
  end
  sort(way, function(a, b) return loading[a] < loading[b] end)
  return "module " .. name .. " requires itself" .. (#way > 0 and ", by way of " .. concat(way, ", ") or "")
end

function env.require(name)
  local known = loaded[name]
  if known ~= nil then return known end
  if type(name) ~= "string" then raise("require takes the name of a module", 2) end
  if loading[name] then raise(circle(name)) end
  local loader, path = host.find_module(name, env)
  begun = begun + 1
  loading[name] = begun
  local finished <close> = setmetatable({}, { __close = function() loading[name] = nil end })
  local result = loader(name, path)
  if loaded[name] == nil then loaded[name] = result == nil and true or result end
  return loaded[name], path
end

-- Names of a module of the package: ours, or a plug-in's, which may wait while it loads.
function host.member_of(find)
  return function(module, key)
    local found, plugin = find(module, key)
    if plugin then
      local ok, class = env.pcall(env.require, plugin)
      local kind = type(class)
      if not ok then
        class = host.plugin_failed(env.tostring(class))
      elseif class == true then
        class = host.plugin_failed("the plug-in " .. plugin .. " returns nothing; it should return its class")
      elseif kind ~= "userdata" and kind ~= "function" and not find_text(plugin, "^lunabot_plugins%.util%.") then
        class = host.plugin_failed("the plug-in " .. plugin .. " returns a " .. kind .. "; it should return its class")
      end
      found = class
      rawset(module, key, found)
    end
    return found
  end
end

host.env, host.pairs, host.keys_of = env, pairs, keys_of
