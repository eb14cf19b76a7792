-- SPDX-License-Identifier: MIT
-- State with a changelog under torture: the short form of the part "state" of `make torture`, that its checker sees a
-- planted mistake, and each kind of fault by itself (scripts/torture/counts.lua).
local kafka = require "spec.support.kafka"
local process = require "spec.support.process"
local faults = require "spec.support.faults"
local counts = require "scripts.torture.counts"

describe("counts per key under torture", function()
  if not kafka.bootstrap() then return pending("needs a Kafka") end

  after_each(process.stop_all)

  local function torture(mode, more)
    local env = { TORTURE_PART = "counts", TORTURE_MODE = mode, TORTURE_REPORT = false }
    for name, value in pairs(more or {}) do env[name] = value end
    return process.run({ "luajit", "scripts/torture/main.lua" }, { timeout = 300, env = env })
  end

  for _, mode in ipairs { "at_least_once", "exactly_once" } do
    it(mode .. " counts each message of a key once, whatever dies, and when the folder of state is lost", function()
      local code, out, err = torture(mode)
      assert(code == 0, out .. err)
      assert.is_truthy(out:find("wrong_count 0", 1, true))
    end)
  end

  it("are found to be wrong where a change is not stored", function()
    local code, out, err = torture("at_least_once", { TIDE_BUILD = faults.folder,
      TIDE_FAULTS = "bug.state_lost=1:bug" })
    assert.equal(1, code, out .. err)
    assert(out:find("FAILED: wrong_count: ", 1, true), out .. err)
    assert(out:find("FAILED: state of nobody, counts: ", 1, true), out .. err)
    os.execute("rm -rf " .. out:match("journal and logs: (%S+)"))
  end)
end)

describe("the judgement of counts per key", function()
  local input, truth

  -- Ids 1, 2, 7 of the key a, 83 (which ends as a dead letter) and 3 of b.
  before_each(function()
    input = {}
    for _, one in ipairs { { "a", 1 }, { "a", 2 }, { "b", 83 }, { "b", 3 }, { "a", 7 } } do
      input[#input + 1] = { key = one[1], value = one[2] .. ":text" }
    end
    truth = counts.truth(input)
  end)

  it("counts what is forwarded, and leaves out what ends as a dead letter", function()
    assert.same({ of_id = { [1] = 1, [2] = 2, [3] = 1, [7] = 3 }, counts = { a = 3, b = 1 }, last = { b = 3 } }, truth)
  end)

  it("takes the last record of each key of a changelog, and a deleted one as none", function()
    local by = { key = "\0by", value = "string 0 0\nkey" }
    local function judge(state, ...)
      local records = {}
      for i, value in ipairs { ... } do
        records[i] = { key = i == 1 and "b" or "a", value = value ~= "" and "kind 0 0\n" .. value or nil }
      end
      records[#records + 1] = by
      return counts.judge_changelog(truth, state, records)
    end
    assert.same({}, judge("counts", "1", "2", "3"))
    assert.same({ "changelog of counts: 2 of a, not 3" }, judge("counts", "1", "3", "2"))
    assert.same({ "changelog of counts: nil of a, not 3" }, judge("counts", "1", "3", ""))
    assert.same({}, judge("last", '{"id":3}', '{"id":2}', ""))
    assert.same({ "changelog of last: 2 of a, which has none" }, judge("last", '{"id":3}', "", '{"id":2}'))
    by.value = "string 0 0\njson:k"
    assert.same({ "changelog of counts: keys are by json:k, not key" }, judge("counts", "1", "3"))
    by = nil
    assert.same({ "changelog of counts: keys are by nil, not key" }, judge("counts", "1", "3"))
  end)

  it("takes each value that a folder of state has", function()
    local function judge(text) return counts.judge_export(truth, "state of x", text) end
    local right = [[{"state":"counts","key":"a","value":3}
{"state":"counts","key":"b","value":1}
{"state":"last","key":"b","value":{"id":3}}
]]
    assert.same({}, judge(right))
    local without = right:gsub('{"state":"counts","key":"b"[^\n]+\n', "")
    assert.same({ "state of x, counts: nil of b, not 1" }, judge(without))
    assert.same({ "state of x, last: 4 of b, not 3" }, judge((right:gsub('"id":3', '"id":4'))))
  end)
end)
