-- lunabot test config-examples/matrix
local t = require "lunabot.test"

t.test("every level is built with every mode, on both workers", function(m)
  m:force()
  local builders, workers = {}, {}
  for _, build in ipairs(m:builds()) do
    t.equal(build.result, "success", build.builder)
    builders[build.builder], workers[build.worker] = true, true
  end
  t.same(builders, {
    ["c99-debug"] = true, ["c99-release"] = true, ["c11-debug"] = true, ["c11-release"] = true,
    ["c17-debug"] = true, ["c17-release"] = true,
  })
  t.same(workers, {one = true, two = true})
end)

t.test("what does not compile is not run", function(m)
  m:answers{["cc -std=c17 *"] = {rc = 1, stderr = "error: unknown type name"}}
  m:force{builder = "c17-debug"}
  local build = m:build("c17-debug")
  t.same(build.steps[2].commands, {"cc -std=c17 -O0 -g -o version version.c"})
  t.equal(build.steps[2].result, "failure")
  t.equal(#build.steps, 2)
end)
