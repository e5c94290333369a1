-- What the container runs until a configuration of your own is mounted at /config/master.lua.
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker

return {
  title = "Lunabot",
  buildbotURL = "http://localhost:8010/",
  www = { port = 8010 },
  workers = { worker.LocalWorker{"local"} },
  builders = {
    util.BuilderConfig{
      name = "hello",
      workernames = {"local"},
      factory = util.BuildFactory{ steps.ShellCommand{name = "greet", command = {"echo", "hello from a container"}} },
    },
  },
  schedulers = { schedulers.ForceScheduler{name = "force", builderNames = {"hello"}} },
}
