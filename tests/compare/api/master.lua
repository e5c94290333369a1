-- What the API is compared on. The same for Buildbot is beside it.
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker

local function shell(name, command, options)
  return steps.ShellCommand(util.merge({name = name, command = command, logEnviron = false}, options or {}))
end

local c = {}
c.title = "Example"
c.buildbotURL = "http://localhost:8010/"
c.projects = {
  util.Project{name = "app", slug = "the-app", description = "The *application*", description_format = "markdown"},
  util.Project{name = "empty"},
}
c.codebases = { util.Codebase{name = "lib", project = "app", slug = "the-lib"} }
c.workers = { worker.Worker{"w1", "pass", max_builds = 2}, worker.Worker{"w2", "pass"} }
c.protocols = { pb = { port = "tcp:0:interface=127.0.0.1" } }
c.builders = {
  util.BuilderConfig{
    name = "alpha", workernames = {"w1", "w2"}, tags = {"quick", "x y"}, description = "The **first**\n\n* of `two`\n", description_format = "markdown", project = "app",
    properties = {colour = "blue", list = {1, {a = util.null}}},
    factory = util.BuildFactory{
      shell("hello", "echo hello; echo world", {descriptionDone = "greeted"}),
      steps.SetProperty{name = "set", property = "answer", value = 42},
      shell("warn", "exit 1", {flunkOnFailure = false, warnOnFailure = true}),
      steps.Trigger{name = "trig", schedulerNames = {"trig"}, waitForFinish = true},
    },
  },
  util.BuilderConfig{
    name = "beta/x y", workernames = {"w1"}, project = "app",
    factory = util.BuildFactory{
      shell("fails", "echo 'a: warning: b'; exit 3"),
      shell("never", "echo no"),
      shell("always", "echo yes", {alwaysRun = true, logfiles = {["Extra Log"] = "none.txt"}}),
    },
  },
  util.BuilderConfig{name = "delta", workernames = {"w1"}, tags = {"x y"}, factory = util.BuildFactory{shell("one", "echo 1")}},
  util.BuilderConfig{name = "zeta", workernames = {"w2"}, factory = util.BuildFactory{shell("one", "echo 1")}},
}
c.schedulers = {
  schedulers.AnyBranchScheduler{name = "any", builderNames = {"alpha"}, change_filter = util.ChangeFilter{project = "app"}},
  schedulers.ForceScheduler{
    name = "force", builderNames = {"alpha", "beta/x y", "zeta"}, buttonName = "Go", label = "Go on",
    properties = {util.IntParameter{name = "count", default = 3}, util.StringParameter{name = "must", required = false}},
  },
  schedulers.Triggerable{name = "trig", builderNames = {"delta"}},
}
c.www = { port = "tcp:0:interface=127.0.0.1", change_hook_dialects = {base = true} }
return c
