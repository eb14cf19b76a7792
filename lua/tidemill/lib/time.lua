-- SPDX-License-Identifier: MIT
-- lib/time.lua: tide.time. A moment is a count since 1970-01-01T00:00:00Z in a unit:
-- "s", "ms" (the default), "us" or "ns". us and ns are int64, so that nothing is rounded; s and ms are numbers. What
-- int64 cannot hold is refused.
local ffi = require("ffi")
local arguments = require("tidemill.lib.arguments")
local calendar = require("tidemill.lib.calendar")
local integer = require("tidemill.run.integer")
local library = require("tidemill.lib.library")
local strptime = require("tidemill.lib.strptime")

local time = {}

library.declare([[
struct tide_timespec { int64_t seconds; int64_t nanoseconds; };
int tide_time_clock(int clock, struct tide_timespec *now) __asm__("clock_gettime");
]], "struct tide_timespec")

local int64, uint64 = ffi.typeof("int64_t"), ffi.typeof("uint64_t")
local LEAST, MOST = -0x7FFFFFFFFFFFFFFFLL - 1, 0x7FFFFFFFFFFFFFFFLL
local PER_SECOND = { s = 1LL, ms = 1000LL, us = 1000000LL, ns = 1000000000LL }
local DIGITS = { s = 0, ms = 3, us = 6, ns = 9 }
local IS_NUMBER = { s = true, ms = true }
local DAY = 86400LL

local function unit_of(unit)
  if unit == nil then return "ms" end
  if not PER_SECOND[unit] then error('a unit is "s", "ms", "us" or "ns", not ' .. arguments.shown(unit), 3) end
  return unit
end

-- A moment as whole units, rounded down, and the rest, as a number may have a fraction.
local function moment_of(count, what)
  count = integer.cdata(count) or count
  if ffi.istype(int64, count) or (ffi.istype(uint64, count) and count <= ffi.cast(uint64, MOST)) then
    return int64(count), 0
  end
  if type(count) ~= "number" or not (count >= -2 ^ 63 and count < 2 ^ 63) then
    error(("%s takes a finite number or an int64, got %s"):format(what, arguments.shown(count)), 3)
  end
  local whole = math.floor(count)
  return int64(whole), count - whole
end

-- nil and the reason for a moment that would be rounded.
local function give(count, unit)
  if not IS_NUMBER[unit] then return (integer.given(count)) end
  local number = tonumber(count)
  if int64(number) == count then return number end
  return nil, ("beyond what a number holds exactly in %s"):format(unit)
end

local function floor_divide(a, b)
  local quotient = a / b
  return a % b < 0 and quotient - 1 or quotient
end

local now = ffi.new("struct tide_timespec")

--- The present moment.
function time.now(unit)
  unit = unit_of(unit)
  ffi.C.tide_time_clock(0, now)
  local per = PER_SECOND[unit]
  return give(now.seconds * per + now.nanoseconds / (1000000000LL / per), unit)
end

-- whole * ratio + more; nil when int64 does not hold it. 0 <= more <= ratio.
local function scale(whole, ratio, more)
  if whole >= 0 then
    if whole > (MOST - more) / ratio then return nil end
    return whole * ratio + more
  end
  -- With one unit less of `whole`, since the product alone may be too small where the sum is not.
  local rest = more - ratio
  if whole + 1 < (LEAST - rest) / ratio then return nil end
  return (whole + 1) * ratio + rest
end

--- Converts from one unit into another and rounds down: convert(1500, "ms", "s") is 1. The fraction of a number counts:
--- convert(1.5, "s", "ms") is 1500.
function time.convert(count, from, to)
  from, to = unit_of(from), unit_of(to)
  local whole, fraction = moment_of(count, "tide.time.convert")
  local a, b = PER_SECOND[from], PER_SECOND[to]
  local result, problem
  if b <= a then
    result = floor_divide(whole, a / b)
  else
    result = scale(whole, b / a, int64(math.floor(fraction * tonumber(b / a) + 0.5)))
    problem = "beyond what int64 holds in " .. to
  end
  if result then result, problem = give(result, to) end
  if not result then
    error(("tide.time.convert: %s %s are %s"):format(arguments.shown(count), from, problem), 2)
  end
  return result
end

--- Reads a moment as RFC 3339 writes it ("2026-01-31T12:00:00.5+01:00"); digits beyond the unit are cut off. nil and
--- the reason when the text is no moment, or is beyond what int64 holds (in ns 1677 to 2262).
function time.parse(text, unit)
  unit = unit_of(unit)
  if type(text) ~= "string" then return nil, "not a text" end
  local date, fraction, zone = text:match("^(%d%d%d%d%-%d%d%-%d%d[Tt ]%d%d:%d%d:%d%d)(%.?%d*)([Zz+-].*)$")
  if not date or fraction == "." or not calendar.zone(zone) then return nil, "not a moment by RFC 3339" end
  local seconds = calendar.seconds_of(date, zone)
  if not seconds then return nil, "no such moment" end
  local digits = DIGITS[unit]
  local part = digits > 0 and int64(tonumber((fraction:sub(2) .. "000000000"):sub(1, digits))) or 0LL
  local count = scale(int64(seconds), PER_SECOND[unit], part)
  if not count then return nil, "beyond what int64 holds in " .. unit end
  return give(count, unit)
end

local DEFAULTS = { year = true, zone = true }

--- Reads a moment by a format (lib/strptime.lua has its letters); digits beyond the unit are cut off. What neither the
--- format nor `defaults` = { year = 2026, zone = "+01:00" } has is: an error of the text for the year, UTC for the
--- zone.
--- nil and the reason when the text does not suit.
function time.strptime(text, format, unit, defaults)
  arguments.text(text, "tide.time.strptime")
  arguments.text(format, "tide.time.strptime, as a format,")
  unit = unit_of(unit)
  local year, zone = nil, 0
  if defaults ~= nil then
    arguments.options(defaults, "tide.time.strptime", DEFAULTS, 3)
    year = defaults.year ~= nil and arguments.integer(defaults.year, "tide.time.strptime: year", 0, 9999) or nil
    zone = type(defaults.zone) == "string" and calendar.zone(defaults.zone) or defaults.zone == nil and 0 or nil
    if not zone then
      error('tide.time.strptime: zone is "Z" or as "+01:00", got ' .. arguments.shown(defaults.zone), 2)
    end
  end
  local steps, problem = strptime.compile(format)
  if not steps then error("tide.time.strptime: the format: " .. problem, 2) end
  local seconds, nanoseconds = strptime.read(steps, text, year, zone)
  if not seconds then return nil, nanoseconds end
  local per = PER_SECOND[unit]
  local count = scale(int64(seconds), per, int64(nanoseconds) / (1000000000LL / per))
  if not count then return nil, "beyond what int64 holds in " .. unit end
  return give(count, unit)
end

--- Writes a moment by RFC 3339 in UTC, with the digits of the unit: format(0) is "1970-01-01T00:00:00.000Z".
function time.format(count, unit)
  unit = unit_of(unit)
  local per = PER_SECOND[unit]
  count = moment_of(count, "tide.time.format")
  local seconds = floor_divide(count, per)
  local days = tonumber(floor_divide(seconds, DAY))
  local of_day, part = tonumber(seconds - days * DAY), tonumber(count - seconds * per)
  local year, month, day = calendar.date_of(days)
  if year < 0 or year > 9999 then return nil, "the year is not one of RFC 3339" end
  local fraction = DIGITS[unit] > 0 and ("." .. ("%0" .. DIGITS[unit] .. "d"):format(part)) or ""
  return ("%04d-%02d-%02dT%02d:%02d:%02d%sZ"):format(year, month, day, math.floor(of_day / 3600),
    math.floor(of_day / 60) % 60, of_day % 60, fraction)
end

return time
