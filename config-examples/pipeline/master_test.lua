-- lunabot test config-examples/pipeline
local t = require "lunabot.test"

local function results(m)
  local found = {}
  for _, build in ipairs(m:builds()) do found[build.builder] = build.result end
  return found
end

t.test("a package is tested by two builders, then published", function(m)
  m:answers{["cksum *"] = "4038471504 75 package.txt"}
  m:force()
  m:run_until_idle()
  t.same(results(m), {
    package = "success", ["test-fast"] = "success", ["test-thorough"] = "success", publish = "success",
  })
  t.same(m:build("test-fast").commands, {"echo testing 4038471504 75 package.txt"})
end)

t.test("nothing is published that failed a test", function(m)
  m:answers{["echo testing*"] = {{rc = 0}, {rc = 1}}}
  m:force()
  m:run_until_idle()
  t.equal(m:build("package").result, "failure")
  t.equal(results(m).publish, nil)
end)

t.test("a package is measured at three in the morning", {at = "2024-05-06T22:00:00Z"}, function(m)
  m:answers{["cksum *"] = "4038471504 75 package.txt"}
  m:force()
  m:run_until_idle()
  m:advance("4h 59m")
  t.equal(results(m).measure, nil)
  m:advance("1m")
  t.equal(results(m).measure, "success")
end)
