-- SPDX-License-Identifier: MIT
-- engine/chain/key_places.h: keys of a state that come in several partitions.
local ffi = require "ffi"
local log = require "spec.support.log"
local C = require("spec.support.headers").declare("chain/key_places.h")

describe("keys that come in several partitions", function()
  local places

  local function note(key, partition, state)
    local found = ffi.new("struct tide_store_key", state or 0, partition, key, #key)
    C.tide_key_places_note(places, found, "seen", "orders")
  end

  -- The lines of the log while the function runs, without their times.
  local function lines_of(fn)
    local lines = {}
    for line in log.of(fn):gmatch "[^\n]+" do lines[#lines + 1] = line:match " warn (.*)$" end
    return lines
  end

  before_each(function() places = ffi.new "struct tide_key_places" end)

  it("are told to the log once", function()
    local lines = lines_of(function()
      for i = 1, 5000 do note("k" .. i, i % 3) end
      for i = 1, 5000 do note("k" .. i, i % 3) end
      note("k1", 1, 1) -- of another state
      note("k1", 2)
      note("k2", 0)
    end)
    assert.same({ 'state "seen": a key comes in the partitions 1 and 2 of "orders", and has a state in each of them: '
      .. "all messages of a key must be in one partition (docs/state.md)" }, lines)
  end)

  it("are noticed among many others, also when they are few", function()
    local lines = lines_of(function()
      for i = 1, 100000 do
        note("k" .. i, i % 8)
        if i % 100 == 0 then note("k" .. i - 50, i % 8) end
      end
    end)
    assert.equal(1, #lines)
  end)

  it("are none of tidemill's own", function()
    assert.same({}, lines_of(function()
      for i = 0, 9 do note("\0watermark", i) end
    end))
  end)
end)
