-- SPDX-License-Identifier: MIT
-- The short form of scripts/torture/state.lua, and that it finds a mistake which is planted in the store.
local faults = require "spec.support.faults"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local seed = require "spec.support.seed"
local state = require "scripts.torture.state"

describe("keyed state under torture", function()
  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  it("counts each message once, whatever engines and workers die of", function()
    local done, wrong = state.run(seed.draw(), 3, 9)
    assert.same({}, wrong)
    assert.is_true(done.engines_killed >= 3 and done.workers_killed >= 6)
  end)

  it("is found to be wrong where a change is not stored", function()
    local code, out = process.run({ "luajit", "scripts/torture/state.lua" }, { env = { TORTURE_SCALE = "0.02",
      TIDE_BUILD = faults.folder, TIDE_FAULTS = "bug.state_lost=1:bug" } })
    assert.equal(1, code, out)
    assert.is_truthy(out:find("FAILED: ", 1, true), out)
  end)
end)
