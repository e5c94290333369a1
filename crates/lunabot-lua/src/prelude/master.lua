-- Doing several things at once, the default rule for collapsing, and lunabot.master.
local host = ...
local type, error, getmetatable, setmetatable, tostring, rawget = type, error, getmetatable, setmetatable, tostring, rawget
local raise, util, pairs, format, sub = host.raise, host.util_table, host.pairs, string.format, string.sub
local running = coroutine.running

-- Tasks.
function util.gather(list, fn)
  if type(list) ~= "table" or fn ~= nil and type(fn) ~= "function" then
    raise("takes a list and a function, or a list of functions: util.gather(list, function(item) … end)")
  end
  local calls = {}
  for i = 1, #list do
    local item = list[i]
    if not fn and type(item) ~= "function" then
      raise(format("util.gather: item %d is no function but a %s; with values, give a function for them too", i, type(item)))
    end
    calls[i] = fn and function() return fn(item) end or item
  end
  return host.gather(calls)
end
local Task = {}
Task.__index = Task
function util.spawn(fn) return setmetatable({ handle = host.spawn(fn) }, Task) end
-- What stands for an object of a class of ours, which must be there; `call` is how its method is called.
function host.handle_of(object, class, call)
  if getmetatable(object) ~= class then raise("call it with a colon: " .. call) end
  return object.handle
end
local handle_of = host.handle_of
function Task:wait() return host.task_wait(handle_of(self, Task, "task:wait()")) end
function Task:cancel() return host.task_cancel(handle_of(self, Task, "task:cancel()")) end

-- The first of several tasks or functions that ends: its key and its result. Functions that lose are cancelled.
function util.wait_any(map)
  local keys, tasks, handles, ours, n = {}, {}, {}, {}, 0
  for key, value in pairs(map) do
    n = n + 1
    if type(value) == "function" then
      value = util.spawn(value)
      ours[n] = value
    elseif getmetatable(value) ~= Task then
      raise("util.wait_any takes a table of tasks (util.spawn) or functions")
    end
    keys[n], tasks[n], handles[n] = key, value, value.handle
  end
  if n == 0 then raise("util.wait_any: nothing to wait for") end
  local first = host.task_wait_any(handles)
  for i, task in pairs(ours) do
    if i ~= first then task:cancel() end
  end
  return keys[first], tasks[first]:wait()
end

-- Calls a function when what lies at a path has changed.
local Watch = {}
Watch.__index = Watch
function util.watch(path, fn)
  if type(path) ~= "string" or type(fn) ~= "function" then raise("takes a path and a function: util.watch(\"path\", function(path) … end)") end
  return setmetatable({ handle = host.watch(path, fn) }, Watch)
end
function Watch:stop()
  host.watch_stop(handle_of(self, Watch, "watch:stop()"))
end

-- A result that is kept across reloads for so long. Where it cannot be had anew, the old one is better than none.
function util.cached(key, max_age, fn)
  if type(key) ~= "string" or type(fn) ~= "function" then raise("takes a name, an age and a function: util.cached(\"builders\", \"1h\", function() … end)") end
  max_age = host.seconds(max_age)
  local age, value = host.kept(key)
  if age and age < max_age then return value end
  local ok, result = host.env.pcall(fn)
  if ok then return host.keep(key, result) end
  if not age then error(result, 0) end
  host.log("warn", "util.cached: " .. key .. ": " .. tostring(result) .. "; the result of " .. age // 1 .. " s ago is used")
  return value
end

-- Who has which mutex; what is forgotten is not kept by it.
local Mutex, holders = {}, setmetatable({}, { __mode = "kv" })
Mutex.__index = Mutex
function util.mutex() return setmetatable({ handle = host.mutex() }, Mutex) end
function Mutex:with(fn)
  local handle, me = handle_of(self, Mutex, "mutex:with(function() … end)"), running()
  if holders[self] == me then raise("mutex:with within mutex:with of the same mutex: it would wait for itself") end
  local guard <close> = host.mutex_lock(handle)
  local left <close> = setmetatable({}, { __close = function() holders[self] = nil end })
  holders[self] = me
  return fn()
end

-- Whether two requests may be one by the default rule (07.007).
local function same_stamp(a, b)
  if a.repository ~= b.repository or a.branch ~= b.branch or a.project ~= b.project then return false end
  if a.patch or b.patch then return false end
  local has_a, has_b = a.changes and #a.changes > 0 or false, b.changes and #b.changes > 0 or false
  if has_a ~= has_b then return false end
  return has_a or a.revision == b.revision
end
local function of_scheduler(properties)
  local all = {}
  for name, value in pairs(properties) do
    if name ~= "scheduler" and properties:getPropertySource(name) == "Scheduler" then all[name] = value end
  end
  return all
end
util.BuildRequest = {}
function util.BuildRequest.canBeCollapsed(_, new, old)
  if not old then raise("takes the master and two requests: util.BuildRequest.canBeCollapsed(master, req1, req2)") end
  if new.bsid == old.bsid then return true end
  if new.id < old.id then return false end
  for codebase in pairs(new.sources) do
    if not old.sources[codebase] then return false end
  end
  for codebase, stamp in pairs(old.sources) do
    if not new.sources[codebase] or not same_stamp(new.sources[codebase], stamp) then return false end
  end
  return util.equal(of_scheduler(new.properties), of_scheduler(old.properties))
end

-- For canStartBuild: the worker that was chosen when the build was forced (07.019).
function util.enforceChosenWorker(_, wfb, request)
  if not request then raise("takes three arguments: util.enforceChosenWorker(builder, wfb, request)") end
  local chosen = request.properties:getProperty("workername")
  return type(chosen) ~= "string" or chosen == wfb.worker.name
end

-- lunabot.master: only inside callbacks.
-- Its tables of functions: one that comes as the first argument was written before a colon.
local dotted = setmetatable({}, { __mode = "k" })
local function dotted_table(of, meta)
  dotted[of] = true
  return setmetatable(of, meta)
end
local function not_colon(op, first)
  if first ~= nil and dotted[first] then raise("is called with a dot, not a colon: master." .. op .. "(…)") end
end
local function call(op)
  return function(first, ...)
    not_colon(op, first)
    return host.master(op, first, ...)
  end
end
local master = { data = dotted_table { get = call("data.get"), control = call("data.control") }, state = dotted_table {}, mq = {} }
master.data.updates = dotted_table({}, { __index = function(_, name) return call("data.updates." .. name) end })

-- The category of a change may be a function of the change (02.002).
local function adding(add)
  return function(change, ...)
    not_colon("data.updates.addChange", change)
    if type(change) == "table" and type(rawget(change, "category")) == "function" then
      local plain = util.merge(change)
      plain.category = nil
      change = util.merge(plain, { category = change.category(plain) })
    end
    return add(change, ...)
  end
end
master.data.updates.addChange = adding(call("data.updates.addChange"))
local get_state = call("state.get")
function master.state.get(key, default)
  local value = get_state(key)
  if value == nil then return default end
  return value
end
master.state.set = call("state.set")
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
local Subscription = {}
Subscription.__index = Subscription
local function subscriber(mq, owner)
  return function(topic, fn)
    if topic == mq then raise("is called with a dot, not a colon: master.mq.subscribe(…)") end
    if type(fn) ~= "function" then raise("takes a topic and a function: master.mq.subscribe(\"builds/*/finished\", function(key, message) … end)") end
    local number, scope = host.subscribe(topic, fn, owner)
    return setmetatable({ number = number, scope = scope, owner = owner }, Subscription)
  end
end
function Subscription:stop()
  if self.number then
    host.unsubscribe(self.number, self.scope, self.owner)
    self.number = nil
  end
end
master.mq.subscribe = subscriber(master.mq)

-- self.master of what acts: what it subscribes to by that ends with it. A source adds its changes its own way.
local owned = setmetatable({}, { __mode = "v" })
function host.master_of(owner, source)
  local own = owned[owner]
  if not own then
    own = setmetatable({ mq = {} }, { __index = master })
    own.mq.subscribe = subscriber(own.mq, owner)
    if source then
      local add = adding(function(...) return host.plain_addChange(source, ...) end)
      local updates = dotted_table({ addChange = add }, { __index = master.data.updates })
      own.data = dotted_table({ updates = updates }, { __index = master.data })
    end
    owned[owner] = own
  end
  return own
end
master.now = host.now
master.basedir = host.basedir
setmetatable(master, { __index = function(_, name)
  if name == "config" then return host.read_only(host.config, "the master", name) end
  raise("master has no " .. tostring(name))
end })

-- The page of a build, and a build with all that belongs to it.
function util.getURLForBuild(_, builderid, number)
  if not number then raise("takes three arguments: util.getURLForBuild(master, builderid, number)") end
  local base = host.config and host.config.buildbotURL or "http://localhost:8080/"
  if sub(base, -1) ~= "/" then base = base .. "/" end
  return format("%s#/builders/%d/builds/%d", base, builderid, number)
end
local function steps_of(get, buildid, want)
  local steps = get({ "builds", buildid, "steps" })
  if want.want_logs or want.want_logs_content then
    for i = 1, #steps do
      local logs = get({ "steps", steps[i].stepid, "logs" })
      for j = 1, want.want_logs_content and #logs or 0 do
        logs[j].content = get({ "logs", logs[j].logid, "contents" })
      end
      steps[i].logs = logs
    end
  end
  return steps
end
function util.getDetailsForBuild(of, build, want)
  if not build or not build.buildid then
    raise("takes the master and a build: util.getDetailsForBuild(master, master.data.get(\"builds/7\"), {want_steps = true})")
  end
  local get, all = of.data.get, util.merge(build)
  want = want or {}
  all.buildrequest = get({ "buildrequests", build.buildrequestid })
  all.buildset = get({ "buildsets", all.buildrequest.buildsetid })
  all.builder = get({ "builders", build.builderid })
  all.url = util.getURLForBuild(of, build.builderid, build.number)
  if all.buildset.parent_buildid then
    all.parentbuild = get({ "builds", all.buildset.parent_buildid })
    all.parentbuilder = get({ "builders", all.parentbuild.builderid })
  end
  if want.want_properties then all.properties = get({ "builds", build.buildid, "properties" }) end
  if want.want_steps or want.want_logs or want.want_logs_content then all.steps = steps_of(get, build.buildid, want) end
  if want.want_previous_build then
    local filters = { number = { lt = build.number }, complete = true }
    all.prev_build = get({ "builders", build.builderid, "builds" }, { filters = filters, order = { "-number" }, limit = 1 })[1]
  end
  return all
end

host.master_table = master
