-- SPDX-License-Identifier: MIT
-- lib/time.lua: tide.time, and the project's only calendar. A moment is a count since 1970-01-01T00:00:00Z in a unit:
-- "s", "ms" (the default), "us" or "ns". us and ns are int64, so that nothing is rounded; s and ms are numbers. What
-- int64 cannot hold is refused.
local ffi = require("ffi")
local arguments = require("tidemill.lib.arguments")
local integer = require("tidemill.run.integer")
local library = require("tidemill.lib.library")

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

local function give(count, unit)
  if IS_NUMBER[unit] then return tonumber(count) end
  return (integer.given(count))
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
  if b <= a then return (give(floor_divide(whole, a / b), to)) end
  local ratio = b / a
  local result = scale(whole, ratio, int64(math.floor(fraction * tonumber(ratio) + 0.5)))
  if not result then
    error(("tide.time.convert: %s %s are beyond what int64 holds in %s"):format(arguments.shown(count), from, to), 2)
  end
  return (give(result, to))
end

-- Days from the epoch to a day of the proleptic Gregorian calendar, and back (months count from March).
local function days_of(year, month, day)
  if month <= 2 then year, month = year - 1, month + 12 end
  return 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
    + math.floor((153 * month - 457) / 5) + day - 719469
end

local function date_of(days)
  days = days + 719468
  local era = math.floor(days / 146097)
  local of_era = days - era * 146097
  local year = math.floor((of_era - math.floor(of_era / 1460) + math.floor(of_era / 36524)
    - math.floor(of_era / 146096)) / 365)
  local of_year = of_era - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local month = math.floor((5 * of_year + 2) / 153)
  local day = of_year - math.floor((153 * month + 2) / 5) + 1
  return year + era * 400 + (month >= 10 and 1 or 0), month + (month < 10 and 3 or -9), day
end

local MONTHS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

local function month_length(year, month)
  local leap = (year % 4 == 0 and year % 100 ~= 0) or year % 400 == 0
  return month == 2 and leap and 29 or MONTHS[month] or 0
end

-- Minutes east of Greenwich of "Z" or "+01:30"; nil when the text is no zone.
local function zone(text)
  if text == "Z" or text == "z" then return 0 end
  local sign, hours, minutes = text:match("^([+-])(%d%d):(%d%d)$")
  hours, minutes = tonumber(hours), tonumber(minutes)
  if not sign or hours > 23 or minutes > 59 then return nil end
  return (sign == "-" and -1 or 1) * (hours * 60 + minutes)
end

--- Reads a moment as RFC 3339 writes it ("2026-01-31T12:00:00.5+01:00"); digits beyond the unit are cut off. nil and
--- the reason when the text is no moment, or is beyond what int64 holds (in ns 1677 to 2262).
function time.parse(text, unit)
  unit = unit_of(unit)
  if type(text) ~= "string" then return nil, "not a text" end
  local y, m, d, hh, mm, ss, fraction, z = text:match(
    "^(%d%d%d%d)%-(%d%d)%-(%d%d)[Tt ](%d%d):(%d%d):(%d%d)(%.?%d*)([Zz+-].*)$")
  local east = z and zone(z)
  if not east or fraction == "." then return nil, "not a moment by RFC 3339" end
  y, m, d, hh, mm, ss = tonumber(y), tonumber(m), tonumber(d), tonumber(hh), tonumber(mm), tonumber(ss)
  if d < 1 or d > month_length(y, m) or hh > 23 or mm > 59 or ss > 59 then return nil, "no such moment" end
  local seconds = int64(days_of(y, m, d)) * DAY + hh * 3600 + (mm - east) * 60 + ss
  local digits = DIGITS[unit]
  local part = digits > 0 and int64(tonumber((fraction:sub(2) .. "000000000"):sub(1, digits))) or 0LL
  local count = scale(seconds, PER_SECOND[unit], part)
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
  local year, month, day = date_of(days)
  if year < 0 or year > 9999 then return nil, "the year is not one of RFC 3339" end
  local fraction = DIGITS[unit] > 0 and ("." .. ("%0" .. DIGITS[unit] .. "d"):format(part)) or ""
  return ("%04d-%02d-%02dT%02d:%02d:%02d%sZ"):format(year, month, day, math.floor(of_day / 3600),
    math.floor(of_day / 60) % 60, of_day % 60, fraction)
end

return time
