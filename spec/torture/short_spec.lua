-- SPDX-License-Identifier: MIT
-- The short form of `make torture`. A failure prints the seed, and the ids with their histories.
local kafka = require "spec.support.kafka"
local process = require "spec.support.process"

-- For each of the two: a file has 360 s (scripts/dev/run_specs.sh), past which nothing would be told of the run that is
-- too long. A build with a sanitizer is slow, and its files have 1800 s.
local SECONDS = os.getenv "TIDE_BUILD" and 850 or 170

describe("under torture", function()
  if not kafka.bootstrap() then return pending("needs a Kafka") end

  after_each(process.stop_all)

  for _, mode in ipairs { "at_least_once", "exactly_once" } do
    it(mode .. " holds its promises under torture", function()
      local code, out, err = process.run({ "luajit", "scripts/torture/main.lua" }, { timeout = SECONDS, env = {
        TORTURE_PART = "short", TORTURE_MODE = mode, TORTURE_REPORT = false,
      } })
      assert(code == 0, out .. err)
      assert.is_truthy(out:find("lost 0", 1, true))
    end)
  end
end)
