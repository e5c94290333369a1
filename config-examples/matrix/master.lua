-- Builders from a loop: one for each pair of a language level and a set of options, in the same factory's shape.
local lunabot = require "lunabot"
local schedulers, steps, util, worker = lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker

local standards = { "c99", "c11", "c17" }
local modes = {
  { name = "debug", flags = { "-O0", "-g" } },
  { name = "release", flags = { "-O2" } },
}

local program = [[
#include <stdio.h>
int main(void) { printf("%ld\n", __STDC_VERSION__); return 0; }
]]

local function factory(standard, flags)
  return util.BuildFactory{
    steps.ShellCommand{name = "write", command = {"sh", "-c", "printf '%s' \"$0\" > version.c", program}},
    -- Lists inside lists are flattened, so `flags` is simply spliced in.
    steps.ShellCommand{name = "compile", command = {"cc", "-std=" .. standard, flags, "-o", "version", "version.c"}, haltOnFailure = true},
    steps.ShellCommand{name = "run", command = {"./version"}},
  }
end

local c = { title = "Matrix", buildbotURL = "http://localhost:8010/", www = { port = "127.0.0.1:8010" } }
c.workers = { worker.LocalWorker{"one"}, worker.LocalWorker{"two"} }
c.builders = {}

local names = {}
for _, standard in ipairs(standards) do
  for _, mode in ipairs(modes) do
    local name = standard .. "-" .. mode.name
    table.insert(names, name)
    table.insert(c.builders, util.BuilderConfig{
      name = name,
      workernames = {"one", "two"},
      tags = {standard, mode.name},
      factory = factory(standard, mode.flags),
      env = { LC_ALL = "C" },
    })
  end
end

c.schedulers = { schedulers.ForceScheduler{name = "force", builderNames = names} }
return c
