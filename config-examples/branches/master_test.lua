-- lunabot test config-examples/branches
local t = require "lunabot.test"
local util = require("lunabot").util

t.test("main is tested once it has been quiet for ten seconds", function(m)
  m:change{branch = "main", files = {"src/a.c"}}
  m:advance(9)
  m:change{branch = "main", files = {"src/b.c"}}
  m:advance(9)
  t.same(m:builds(), {}, "the second change starts the wait anew")
  m:advance(1)
  local builds = m:builds()
  t.equal(#builds, 1)
  t.equal(builds[1].builder, "test")
  t.same(builds[1].commands, {"echo testing main"})
end)

t.test("documentation alone starts nothing", function(m)
  m:change{branch = "main", files = {"docs/index.md"}}
  m:advance("1h")
  t.same(m:builds(), {})
end)

t.test("a release branch is tested and packaged at once, and not published", function(m)
  m:worker("local"):answers{["echo 1.*"] = "1.20240101"}
  m:change{branch = "release/1", files = {"src/a.c"}}
  t.equal(m:build("test").results, util.SUCCESS)
  local release = m:build("release")
  t.equal(release.properties.version, "1.20240101")
  t.equal(release.steps[3].name, "publish")
  t.equal(release.steps[3].results, util.SKIPPED)
end)

t.test("a release is published by hand, where the form says", function(m)
  m:answers{["echo 1.*"] = "1.20240101"}
  m:force{builder = "release", properties = {target = "production", publish = true}, owner = "ann"}
  t.same(m:build("release").steps[3].commands, {"echo publishing to production"})
  local message = t.error(function() m:force{properties = {target = "the moon"}} end)
  t.matches(message, "target")
end)
