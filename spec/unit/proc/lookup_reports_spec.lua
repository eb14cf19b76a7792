-- SPDX-License-Identifier: MIT
-- What the engine makes of the zygote's reports of lookup tables: they are shown and counted, and believed in nothing
-- else.
local ffi = require "ffi"
local log = require "spec.support.log"
local engine = require("spec.support.headers").declare("proc/inside.h", "proc/zygote.h")
local C = require("tidemill.run.ffi").C

describe("a report of a lookup table", function()
  local zygote, totals, view

  before_each(function()
    zygote, totals, view = ffi.new "struct tide_zygote", ffi.new "struct tide_lookup_totals",
      ffi.new "struct tide_lookup_view"
    zygote.forked_us = C.tide_clock_us()
  end)

  after_each(function() C.tide_clock_hold(0) end)

  local function take(fields)
    local event, report = ffi.new "struct tide_zygote_event", ffi.new "struct tide_lookup_report"
    report.name, report.state = "users.csv", C.TIDE_LOOKUP_READ
    for name, value in pairs(fields) do report[name] = value end
    ffi.copy(event.text, report, ffi.sizeof(report))
    local taken
    local logged = log.of(function() taken = engine.tide_zygote_take_lookup(zygote, event) end)
    return taken, logged
  end

  local function seen(index)
    assert.is_true(engine.tide_zygote_lookup(zygote, index, view))
    return { ffi.string(view.name), tonumber(view.rows), tonumber(view.bytes), tonumber(view.reads),
      tonumber(view.errors), ffi.string(view.problem) }
  end

  local function sums()
    engine.tide_zygote_lookup_totals(zygote, totals)
    return { tonumber(totals.reads), tonumber(totals.errors), tonumber(totals.rows), tonumber(totals.bytes) }
  end

  it("is logged, shown and counted; a table's next version takes the place of the one before in the sums", function()
    local taken, logged = take { rows = 10, bytes = 2 ^ 20, time_us = 1500000 }
    assert.is_true(taken)
    assert.matches("lookup table: users.csv: 10 rows, 1.0 MiB, read in 1.50 s", logged)
    take { table = 3, name = "other.csv", rows = 5, bytes = 100 }
    take { rows = 7, bytes = 50 }
    assert.same({ "users.csv", 7, 50, 2, 0, "" }, seen(0))
    assert.same({ "other.csv", 5, 100, 1, 0, "" }, seen(3))
    assert.is_false(engine.tide_zygote_lookup(zygote, 1, view))
    assert.is_false(engine.tide_zygote_lookup(zygote, 16, view))
    assert.same({ 3, 0, 12, 150 }, sums())
  end)

  it("of a failure keeps what is known of the rows, and the next success takes the problem away", function()
    take { rows = 10, bytes = 20 }
    local taken, logged = take { state = C.TIDE_LOOKUP_FAILED, problem = "users.csv:3: no", rows = 99 }
    assert.is_true(taken)
    assert.matches("lookup table: users.csv:3: no; the 10 rows that were read before stay", logged)
    assert.same({ "users.csv", 10, 20, 1, 1, "users.csv:3: no" }, seen(0))
    take { rows = 11, bytes = 21 }
    assert.same({ "users.csv", 11, 21, 2, 1, "" }, seen(0))
    assert.same({ 2, 1, 11, 21 }, sums())
  end)

  it("that is none is refused", function()
    for _, fields in ipairs { { table = 16 }, { table = 2 ^ 32 - 1 }, { name = "" }, { state = C.TIDE_LOOKUP_EMPTY },
      { state = C.TIDE_LOOKUP_CHANGED }, { state = 77 }, { time_us = -1 } } do
      assert.is_false((take(fields)))
    end
    assert.same({ 0, 0, 0, 0 }, sums())
  end)

  it("is shown as UTF-8 without control bytes, and has an end, whatever the zygote sends", function()
    take { name = "a\27[2J\255\195\164\195" }
    assert.equal("a?[2J?\195\164?", seen(0)[1])
    take { name = ("x"):rep(256), state = C.TIDE_LOOKUP_FAILED, problem = ("\255y"):rep(512) }
    assert.same({ ("x"):rep(255), ("?y"):rep(512):sub(1, 1023) }, { seen(0)[1], seen(0)[6] })
  end)

  it("is refused when there are more than any table could have", function()
    local count = 0
    C.tide_clock_hold(zygote.forked_us) -- each second allows more
    for _ = 1, 1000 do count = count + (take {} and 1 or 0) end
    assert.equal(65, count)
  end)
end)
