-- A pipeline: a package is made, tested by two builders at once, and published if both are content. At night everything
-- is tested again, and what the last package asked for is measured. `lunabot start config-examples/pipeline`, then force it.
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker

local c = { title = "Pipeline", buildbotURL = "http://localhost:8010/", www = { port = "127.0.0.1:8010" } }
c.workers = { worker.LocalWorker{"one"}, worker.LocalWorker{"two"} }

local function sh(name, command)
  return steps.ShellCommand{name = name, command = command, haltOnFailure = true}
end

local package = util.BuildFactory{
  sh("pack", {"sh", "-c", "echo content > package.txt"}),
  steps.SetPropertyFromCommand{command = {"cksum", "package.txt"}, property = "checksum"},
  -- Waits for both; without them the step below is not reached.
  steps.Trigger{
    name = "test",
    schedulerNames = {"tests"},
    waitForFinish = true,
    copy_properties = {"checksum"},
    haltOnFailure = true,
  },
  -- Does not wait: this is measured when the machines are idle.
  steps.Trigger{name = "measure", schedulerNames = {"measure-at-night"}, copy_properties = {"checksum"}},
}

local test = util.BuildFactory{sh("test", {"echo", "testing", util.Property{"checksum", default = "what is there"}})}
local measure = util.BuildFactory{sh("measure", {"echo", "measuring", util.Property "checksum"})}
local publish = util.BuildFactory{sh("publish", {"echo", "published"})}

local function builder(name, factory)
  return util.BuilderConfig{name = name, workernames = {"one", "two"}, factory = factory}
end
c.builders = {
  builder("package", package),
  builder("test-fast", test),
  builder("test-thorough", test),
  builder("measure", measure),
  builder("publish", publish),
}

local force = schedulers.ForceScheduler{name = "force", builderNames = {"package"}}
c.schedulers = {
  force,
  schedulers.Triggerable{name = "tests", builderNames = {"test-fast", "test-thorough"}, reason = "a new package"},
  schedulers.NightlyTriggerable{name = "measure-at-night", builderNames = {"measure"}, hour = 3, tz = "UTC"},
  schedulers.Dependent{name = "publish", upstream = force, builderNames = {"publish"}},
  schedulers.Nightly{
    name = "nightly",
    builderNames = {"test-thorough"},
    hour = 2, minute = 30, dayOfWeek = "mon-fri",
  },
}

return c
