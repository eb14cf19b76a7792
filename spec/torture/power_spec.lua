-- SPDX-License-Identifier: MIT
-- The checker sees mistakes that are planted in the delivery code (bug.* of engine/base/fault.h; all of them:
-- spec/sim). A checker that always says yes would fail here.
local kafka = require "spec.support.kafka"
local process = require "spec.support.process"
local faults = require "spec.support.faults"

local SECONDS = 300 -- some 40 where nothing else runs

-- What each mistake leads to, as the checker says it. Where the run is to be stuck, few seconds without a commit show
-- that. Elsewhere they must not: when its dynamic member is killed, the group commits nothing while the session lasts.
local MISTAKES = {
  plus_one_missing = { "uncommitted: ", "stuck: partition ", patience = "4" },
  attribution_off_by_one = { "misattributed: " },
}

describe("under torture a planted mistake is found:", function()
  if not kafka.bootstrap() then return pending("needs a Kafka") end

  after_each(process.stop_all)

  for name, words in pairs(MISTAKES) do
    it(name, function()
      local code, out, err = process.run({ "luajit", "scripts/torture/main.lua" }, { timeout = SECONDS, env = {
        TIDE_BUILD = faults.folder, TIDE_FAULTS = ("bug.%s=1:bug"):format(name), TORTURE_PART = "power",
        TORTURE_MODE = "at_least_once", TORTURE_PATIENCE = words.patience or false, TORTURE_REPORT = false,
      } })
      assert.equal(1, code, out .. err)
      for _, word in ipairs(words) do assert(out:find("FAILED: " .. word, 1, true), out .. err) end
      os.execute("rm -rf " .. out:match("journal and logs: (%S+)"))
    end)
  end
end)
