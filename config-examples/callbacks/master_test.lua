-- lunabot test config-examples/callbacks
local t = require "lunabot.test"

t.test("the release goes first, then whoever has waited longest", function(m)
  m:worker("local"):disconnect()
  m:request{builder = "test"}
  m:advance(10)
  m:request{builder = "release"}
  m:worker("local"):connect()
  local order = {}
  for i, build in ipairs(m:builds()) do order[i] = build.builder end
  t.same(order, {"release", "test"})
end)

t.test("the newest request is built first", function(m)
  m:worker("local"):disconnect()
  m:request{builder = "test", branch = "a", reason = "one"}
  m:request{builder = "test", branch = "b", reason = "two"}
  m:worker("local"):connect()
  t.equal(m:builds()[1].properties.branch, "b")
  t.equal(m:builds()[2].properties.branch, "a")
end)

t.test("changes that come in while a build runs are built together", function(m)
  m:answers{["echo*"] = {seconds = 60}}
  m:change{branch = "main", revision = "r1"}
  m:change{branch = "main", revision = "r2"}
  m:change{branch = "main", revision = "r3"}
  t.equal(#m:pending(), 1)
  m:run_until_idle()
  t.equal(#m:builds(), 2)
  t.equal(m:build("test").properties.revision, "r3")
end)
