-- Functions that decide: which builder goes first, which request is taken, whether a build may start now, which
-- requests are one. Each runs in the master's script host, within limits of time and memory; an error has a documented outcome.
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker

local c = { title = "Callbacks", buildbotURL = "http://localhost:8010/" }
c.www = { port = "127.0.0.1:8010", change_hook_dialects = { base = true } }
-- One build at a time: who goes first matters.
c.workers = { worker.LocalWorker{"local", max_builds = 1} }

local factory = util.BuildFactory{
  steps.ShellCommand{name = "work", command = {"echo", util.Interpolate "building %(src::revision:-the newest)s"}},
}

-- Builders of the release come first, then whoever has waited longest.
c.prioritizeBuilders = function(master, builders)
  return util.sort_by(builders, function(builder)
    return { builder.name == "release" and 0 or 1, builder:getOldestRequestTime() }
  end)
end

-- Two requests are one only if the default rule agrees and they were made for the same reason.
c.collapseRequests = function(master, builder, req1, req2)
  return util.BuildRequest.canBeCollapsed(master, req1, req2) and req1.reason == req2.reason
end

-- The newest request first.
local function newest(builder, requests)
  local best = requests[1]
  for _, request in ipairs(requests) do
    if request.buildrequestid > best.buildrequestid then best = request end
  end
  return best
end

-- Not while a file says so; the queue waits, nothing is lost.
local function not_frozen(builder, wfb, request)
  local frozen = pcall(util.read_file, "FROZEN")
  return not frozen
end

c.builders = {
  util.BuilderConfig{name = "test", workernames = {"local"}, factory = factory, nextBuild = newest},
  util.BuilderConfig{name = "release", workernames = {"local"}, factory = factory, canStartBuild = not_frozen},
}

c.schedulers = {
  schedulers.AnyBranchScheduler{name = "changes", builderNames = {"test"}},
  schedulers.ForceScheduler{name = "force", builderNames = {"test", "release"}},
}

return c
