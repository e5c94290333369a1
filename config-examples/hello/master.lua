-- Builds the repository that this file lies in: `lunabot start config-examples/hello` in a fresh clone.
-- Its newest commit is built at the first start, each later commit within seconds of being made.
local lunabot = require "lunabot"
local changes, schedulers, steps, util, worker =
  lunabot.changes, lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker

-- Two folders up from here. Any URL that git understands will do.
local repository = lunabot.basedir .. "/../.."

local c = {}
c.title = "Hello"
c.buildbotURL = "http://localhost:8010/"
c.www = { port = "127.0.0.1:8010" }

c.workers = { worker.LocalWorker{"local"} }

-- A poller's first look normally only takes note of what is there; `newest_at_first_poll` makes the newest commit a change.
c.change_source = {
  changes.GitPoller{
    repository, name = "this repository", pollInterval = 2, pollAtLaunch = true, newest_at_first_poll = true,
  },
}

local hello = util.BuildFactory{
  steps.Git{repourl = repository, mode = "incremental"},
  steps.ShellCommand{name = "commit", command = {"git", "log", "-1", "--stat"}, description = "what is built"},
  steps.ShellCommand{
    name = "count",
    command = "for kind in rs lua md; do printf '%8d lines of %s\\n' \"$(git ls-files -z \"*.$kind\" | xargs -0 cat | wc -l)\" $kind; done",
    description = "counting lines",
  },
  steps.ShellCommand{name = "greet", command = {"echo", util.Interpolate "hello from build %(prop:buildnumber)s of %(prop:got_revision)s"}},
}

c.builders = { util.BuilderConfig{name = "hello", workernames = {"local"}, factory = hello} }

c.schedulers = {
  schedulers.AnyBranchScheduler{name = "commits", builderNames = {"hello"}},
  schedulers.ForceScheduler{name = "force", builderNames = {"hello"}},
}

return c
