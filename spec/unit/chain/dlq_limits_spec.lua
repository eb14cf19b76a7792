-- SPDX-License-Identifier: MIT
local ffi = require "ffi"
local C = require("spec.support.headers").declare("chain/dlq_limits.h")

describe("the limits of the dlq", function()
  local limits

  local function new(ratio, consecutive)
    limits = ffi.gc(ffi.new("struct tide_dlq_limits", { ratio or -1, consecutive or -1 }), C.tide_dlq_limits_free)
  end

  -- A message a letter: "g" is good, "b" is bad and counted. Which option one more bad message exceeds, and the counts
  -- with it (all, invalid, consecutive).
  local function after(letters, partition)
    for letter in letters:gmatch "." do
      if letter == "g" then C.tide_dlq_limits_passed(limits, partition or 0, 1)
      else C.tide_dlq_limits_rejected(limits, partition or 0) end
    end
    local with = ffi.new "struct tide_dlq_count"
    local option = C.tide_dlq_limits_exceeded(limits, partition or 0, with)
    local counts = { tonumber(with.all), tonumber(with.invalid), tonumber(with.consecutive) }
    return option ~= nil and ffi.string(option) or "none", counts
  end

  it("without limits any number of messages may be bad", function()
    new()
    assert.same({ "none", { 5, 5, 5 } }, { after "bbbb" })
  end)

  it("max_consecutive_count counts bad messages in a row, and a good one begins a new run", function()
    new(-1, 2)
    assert.same({ "none", { 3, 2, 2 } }, { after "gb" })
    assert.same({ "none", { 6, 4, 2 } }, { after "bgb" })
    assert.same({ "max_consecutive_count", { 7, 5, 3 } }, { after "b" })
  end)

  it("max_consecutive_count of 0 is exceeded by the first bad message", function()
    new(-1, 0)
    assert.equal("max_consecutive_count", (after ""))
  end)

  it("max_invalid_ratio holds from the second bad message on", function()
    new(0.5)
    assert.same({ "none", { 1, 1, 1 } }, { after "" })
    assert.same({ "max_invalid_ratio", { 2, 2, 2 } }, { after "b" })
    assert.same({ "none", { 4, 2, 1 } }, { after "gg" })
  end)

  it("each partition is counted by itself", function()
    new(-1, 1)
    assert.equal("max_consecutive_count", (after("b", 3)))
    assert.equal("none", (after("", 1)))
  end)

  it("an aborted transaction takes back what was counted since the last commit", function()
    new(-1, 2)
    after "gb"
    C.tide_dlq_limits_committed(limits)
    after "b"
    C.tide_dlq_limits_aborted(limits)
    assert.same({ "none", { 3, 2, 2 } }, { after "" })
  end)
end)
