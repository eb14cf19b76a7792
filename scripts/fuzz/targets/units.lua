-- SPDX-License-Identifier: MIT
-- What people write for sizes, times and moments (plan/units.lua, lib/time.lua), on the command line and in pipeline
-- files. A parser gives a number or a reason, never an error; what is shown of a number is read as the same number; a
-- moment is the same in each unit, and after a way through its text. Input: the text.
local tide = require("tidemill.run.ffi")
local ffi = require("ffi")
local time = require("tidemill.lib.time")
local units = require("tidemill.plan.units")
local utf8 = require("tidemill.plan.utf8")

local LARGEST = 2 ^ 53

-- The number of a parser; nil when it refuses the text, with a reason.
local function number_of(parse, text)
  local number, reason = parse(text)
  if number == nil then
    assert(type(reason) == "string" and reason ~= "", "a refusal without a reason")
    return nil
  end
  assert(type(number) == "number" and math.abs(number) <= LARGEST, "no number that can be kept")
  return number
end

local function check_numbers(text)
  local count, number = number_of(units.count, text), number_of(units.number, text)
  assert(not count or count == number and count % 1 == 0, "a count that is no whole number")
  assert(not count or units.show_count(count):gsub(",", "") == ("%.0f"):format(count), "a count is shown as another")
  local size, span = number_of(units.size, text), number_of(units.time, text)
  assert(not count or size == count, "a plain number is another size")
  if size then
    assert(size % 1 == 0 and units.size(units.show_size(size)) == size, "a size is shown as another")
  end
  if span then
    assert(span % 1 == 0, "a part of a microsecond")
    assert(math.abs(span) == LARGEST or units.time(units.show_time(span)) == span, "a time is shown as another")
  end
end

local function check_moment(text)
  local seconds, ms = time.parse(text, "s"), time.parse(text, "ms")
  local us, ns = time.parse(text, "us"), time.parse(text, "ns")
  assert(units.moment(text) == ms, "a moment is another in an option")
  if not ms then return assert(not seconds and not us and not ns, "a moment in one unit and not in another") end
  assert(seconds == math.floor(ms / 1000), "s and ms differ")
  assert(us and ms == tonumber(time.convert(us, "us", "ms")), "ms and us differ")
  assert(not ns or us == time.convert(ns, "ns", "us"), "us and ns differ")
  local shown = time.format(ms, "ms")
  assert(not shown or time.parse(shown, "ms") == ms, "a moment is shown as another")
  assert(shown or ms < -62167219200000 or ms >= 253402300800000, "a moment of RFC 3339 is not shown")
end

-- The C library's own check of UTF-8 must agree.
local function check_utf8(text)
  local clean, room = utf8.clean(text), ffi.new("char[?]", #text * 6 + 2)
  assert(#clean == #text and utf8.clean(clean) == clean, "what is cleaned is not clean")
  assert(tonumber(tide.C.tide_json_quote(clean, #clean, room)) >= 0, "what is cleaned is not UTF-8")
  local valid = tonumber(tide.C.tide_json_quote(text, #text, room)) >= 0
  assert(valid == (clean == text), "two checks of UTF-8 differ")
end

return function(text)
  check_numbers(text)
  check_moment(text)
  check_utf8(text)
end
