-- The configuration of a Lunabot master. It is a program: loops, functions and modules may make up
-- whatever it returns. After a change:
--   lunabot checkconfig   says what is wrong with it
--   lunabot reconfig      makes a running master use it, touching only what differs
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
-- local changes = lunabot.changes

local c = {}

-- What the pages call themselves, and where people reach them.
c.title = "My CI"
c.buildbotURL = "http://localhost:8010/"

-- The pages and the REST API. Only this machine can reach them: give a port alone (port = 8010) to
-- open them to the network, best behind a reverse proxy with TLS.
c.www = { port = "127.0.0.1:8010" }

-- Where builds, logs and queues are stored; relative to this folder.
c.db = { db_url = "@DB@" }

-- Workers run the commands. This one is part of the master itself: good for a first look and for small jobs.
c.workers = { worker.LocalWorker{"local"} }

-- A factory is a list of steps. Each build takes them in order; a step that fails ends the build.
local hello = util.BuildFactory{
  steps.ShellCommand{name = "machine", command = {"uname", "-a"}, description = "looking around"},
  steps.ShellCommand{name = "greet", command = {"echo", "hello from", util.Property("workername")}},
}

-- With a repository of your own: fetch it, then build it.
-- local repository = "https://example.org/project.git"
-- local project = util.BuildFactory{
--   steps.Git{repourl = repository, mode = "incremental"},
--   steps.ShellCommand{name = "test", command = {"make", "test"}, haltOnFailure = true},
-- }

-- A builder has a name, workers that may run it, and a factory.
c.builders = {
  util.BuilderConfig{name = "hello", workernames = {"local"}, factory = hello},
  -- util.BuilderConfig{name = "project", workernames = {"local"}, factory = project},
}

-- Change sources notice new commits.
-- c.change_source = { changes.GitPoller{repository, branches = true, pollInterval = 60} }

-- Schedulers decide what is built, and when.
c.schedulers = {
  -- A button on the builder's page, and `POST /api/v2/forceschedulers/force`.
  schedulers.ForceScheduler{name = "force", builderNames = {"hello"}},
  -- Every change on main, once no other came for ten seconds.
  -- schedulers.SingleBranchScheduler{
  --   name = "main", builderNames = {"project"}, treeStableTimer = 10,
  --   change_filter = util.ChangeFilter{branch = "main"},
  -- },
}

return c
