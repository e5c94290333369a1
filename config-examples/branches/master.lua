-- Two branches with rules of their own: main is tested once it has been quiet for a while, releases at once and by hand with
-- parameters. Changes come over the hook:
--   curl -d author=ann -d branch=main -d 'comments=mend it' -d 'files=["src/a.c"]' http://localhost:8010/change_hook/base
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker

local c = { title = "Branches", buildbotURL = "http://localhost:8010/" }
c.www = { port = "127.0.0.1:8010", change_hook_dialects = { base = true } }
c.workers = { worker.LocalWorker{"local"} }

local test = util.BuildFactory{
  steps.ShellCommand{name = "test", command = {"echo", "testing", util.Interpolate "%(src::branch:-main)s"}},
}
local release = util.BuildFactory{
  steps.SetPropertyFromCommand{name = "version", command = "echo 1.$(date +%Y%m%d)", property = "version"},
  steps.ShellCommand{name = "package", command = {"echo", "packaging", util.Property("version")}},
  steps.ShellCommand{
    name = "publish",
    command = {"echo", "publishing to", util.Property{"target", default = "staging"}},
    doStepIf = util.Property{"publish", default = false}:eq(true),
  },
}

c.builders = {
  util.BuilderConfig{name = "test", workernames = {"local"}, factory = test},
  util.BuilderConfig{name = "release", workernames = {"local"}, factory = release},
}

-- A change that touches documentation only does not start a build; it is part of the next one.
local function is_code(change)
  for _, file in ipairs(change.files) do
    if not file:find("^docs/") then return true end
  end
  return false
end

c.schedulers = {
  schedulers.SingleBranchScheduler{
    name = "main",
    change_filter = util.ChangeFilter{branch = "main"},
    treeStableTimer = 10,
    fileIsImportant = is_code,
    builderNames = {"test"},
  },
  schedulers.AnyBranchScheduler{
    name = "releases",
    change_filter = util.ChangeFilter{branch_re = "release/.*"},
    treeStableTimer = util.null,
    builderNames = {"test", "release"},
  },
  schedulers.ForceScheduler{
    name = "publish",
    buttonName = "Publish a release",
    builderNames = {"release"},
    properties = {
      util.ChoiceStringParameter{name = "target", label = "Where to", choices = {"staging", "production"}, default = "staging"},
      util.BooleanParameter{name = "publish", label = "Really publish", default = false},
    },
  },
}

return c
