-- lunabot test config-examples/hello
local t = require "lunabot.test"

local COMMIT = "89abcdef0123456789abcdef0123456789abcdef"

t.test("a commit is checked out and built", function(m)
  m:change{branch = "master", revision = COMMIT, files = {"README.md"}}
  local build = m:build("hello")
  t.equal(build.result, "success")
  t.equal(build.properties.got_revision, COMMIT)
  t.equal(build.steps[#build.steps].commands[1], "echo hello from build 1 of " .. COMMIT)
end)

t.test("without the source nothing is greeted", function(m)
  m:answers{["git clone *"] = {rc = 128, stderr = "fatal: repository not found"}}
  m:force()
  m:run_until_idle()
  local build = m:build("hello")
  t.equal(build.result, "failure")
  t.equal(#build.steps, 1)
  t.equal(build.steps[1].name, "git")
end)
