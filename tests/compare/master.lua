-- The scenario of scenario.json, as a configuration of Lunabot. The same for Buildbot is beside it.
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local scenario = util.load_json(os.getenv "SCENARIO")

local LOCKS = { m = util.MasterLock{"m"}, w = util.WorkerLock{"w", maxCount = 2} }
local function locks_of(names)
  return util.map(names or {}, function(pair) return LOCKS[pair[1]]:access(pair[2]) end)
end

local function is_list(value) return #value > 0 or next(value) == nil end

local SPECIAL
local function value_of(value)
  if type(value) ~= "table" then return value end
  local key, inner = next(value)
  if SPECIAL[key] and next(value, key) == nil then return SPECIAL[key](inner) end
  local copy = is_list(value) and util.list{} or {}
  for k, v in pairs(value) do copy[k] = value_of(v) end
  return copy
end
SPECIAL = {
  ["$interpolate"] = function(text) return util.Interpolate(text) end,
  ["$property"] = function(name) return util.Property(name) end,
  ["$shellarg"] = function(options) return util.ShellArg(value_of(options)) end,
  ["$rc"] = function(codes)
    local copy = {}
    for code, result in pairs(codes) do copy[tonumber(code)] = result end
    return copy
  end,
}

local SHELL = util.set{
  "ShellCommand", "SetPropertyFromCommand", "ShellSequence", "Configure", "Compile", "Test",
  "WarningCountingShellCommand", "MasterShellCommand",
}
local function step_of(pair)
  local name, options = pair[1], {}
  for k, v in pairs(pair[2]) do
    if k == "locks" then options[k] = locks_of(v) else options[k] = value_of(v) end
  end
  if SHELL[name] then options.logEnviron = false end
  return steps[name](options)
end

local c = {}
c.workers = { worker.Worker{"local", "pass"} }
c.protocols = { pb = { port = "tcp:" .. os.getenv "PB_PORT" .. ":interface=127.0.0.1" } }
c.builders = util.map(scenario, function(one)
  return util.BuilderConfig{
    name = one.name, workernames = {"local"}, properties = one.properties or {}, locks = locks_of(one.locks),
    factory = util.BuildFactory{util.map(one.steps, step_of)},
  }
end)
c.schedulers = {
  schedulers.ForceScheduler{name = "force", builderNames = util.map(scenario, function(one) return one.name end)},
  schedulers.Triggerable{name = "t-child", builderNames = {"child"}},
  schedulers.Triggerable{name = "t-bad-child", builderNames = {"bad-child"}},
}
c.www = { port = "tcp:" .. os.getenv "PORT" .. ":interface=127.0.0.1" }
c.buildbotURL = "http://localhost/"
return c
