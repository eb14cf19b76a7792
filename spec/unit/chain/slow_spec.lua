-- SPDX-License-Identifier: MIT
-- chain/slow.c: the list of the slowest messages.
local ffi = require "ffi"
local C = require("tidemill.run.ffi").C

local SECOND, MINUTE = 1000000, 60000000

describe("the slowest messages", function()
  local slow

  before_each(function() slow = ffi.new "struct tide_slow" end)

  local function add(offset, ms, at, more)
    local message = ffi.new("struct tide_slow_message", { time_us = ms * 1000, seen_us = at, offset = offset,
      partition = more and more.partition or 0, step = more and more.step or 0 })
    C.tide_slow_add(slow, message)
  end

  -- { offset = milliseconds } and the offsets in their order.
  local function list(now)
    local found = ffi.new("struct tide_slow_message[?]", C.TIDE_SLOW_MESSAGES)
    local order, times = {}, {}
    for i = 0, C.tide_slow_list(slow, now, found) - 1 do
      order[#order + 1] = tonumber(found[i].offset)
      times[order[#order]] = tonumber(found[i].time_us) / 1000
    end
    return order, times
  end

  it("come with the slowest first", function()
    add(1, 5, MINUTE)
    add(2, 50, MINUTE)
    add(3, 20, MINUTE)
    assert.same({ 2, 3, 1 }, (list(MINUTE)))
  end)

  it("are the ten slowest, whatever their order", function()
    for i = 1, 100 do add(i * 37 % 101, i * 37 % 101, MINUTE) end
    assert.same({ 100, 99, 98, 97, 96, 95, 94, 93, 92, 91 }, (list(MINUTE)))
  end)

  it("have a message once, with its longest time", function()
    for ms = 10, 50, 10 do add(7, ms, MINUTE + ms * 1000) end
    add(8, 30, MINUTE)
    local order, times = list(MINUTE + SECOND)
    assert.same({ 7, 8 }, order)
    assert.equal(50, times[7])
  end)

  it("have a message once that was run over several windows", function()
    for second = 1, 40 do add(7, second * 1000, MINUTE + second * SECOND) end
    local order, times = list(MINUTE + 40 * SECOND)
    assert.same({ 7 }, order)
    assert.equal(40000, times[7])
  end)

  it("keep apart messages of other partitions and steps", function()
    add(7, 10, MINUTE)
    add(7, 20, MINUTE, { partition = 1 })
    add(7, 30, MINUTE, { step = 1 })
    assert.same({ 7, 7, 7 }, (list(MINUTE)))
  end)

  it("are forgotten after a minute", function()
    add(1, 900, MINUTE)
    add(2, 5, MINUTE + 30 * SECOND)
    assert.same({ 1, 2 }, (list(MINUTE + 59 * SECOND)))
    assert.same({ 2 }, (list(MINUTE + 61 * SECOND)))
    assert.same({}, (list(10 * MINUTE)))
  end)

  it("show those that were hidden by slower ones once these are forgotten", function()
    for i = 1, 10 do add(i, 1000 + i, MINUTE) end
    for i = 11, 20 do add(i, i, MINUTE + 30 * SECOND) end
    assert.equal(10, (list(MINUTE + 31 * SECOND))[1])
    assert.same({ 20, 19, 18, 17, 16, 15, 14, 13, 12, 11 }, (list(MINUTE + 70 * SECOND)))
  end)
end)
