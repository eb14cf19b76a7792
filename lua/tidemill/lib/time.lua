-- SPDX-License-Identifier: MIT
-- lib/time.lua: tide.time. Moments are counts since 1970-01-01T00:00:00Z in a unit: "s", "ms" (when none is said),
-- "us" or "ns". us and ns are int64, so that nothing is rounded; s and ms are numbers.
local ffi = require("ffi")

local time = {}

ffi.cdef [[
struct tide_timespec { int64_t seconds; int64_t nanoseconds; };
int tide_time_clock(int clock, struct tide_timespec *now) __asm__("clock_gettime");
]]

local int64 = ffi.typeof("int64_t")
local PER_SECOND = { s = 1LL, ms = 1000LL, us = 1000000LL, ns = 1000000000LL }
local DIGITS = { s = 0, ms = 3, us = 6, ns = 9 }
local IS_NUMBER = { s = true, ms = true }
local DAY = 86400LL

local function unit_of(unit)
  unit = unit or "ms"
  if not PER_SECOND[unit] then error('a unit is "s", "ms", "us" or "ns", not ' .. tostring(unit), 3) end
  return unit
end

local function give(count, unit)
  return IS_NUMBER[unit] and tonumber(count) or count
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

--- From one unit into another, downwards: convert(1500, "ms", "s") is 1.
function time.convert(count, from, to)
  from, to = unit_of(from), unit_of(to)
  local a, b = PER_SECOND[from], PER_SECOND[to]
  count = int64(count)
  return give(b >= a and count * (b / a) or floor_divide(count, a / b), to)
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

-- Minutes east of Greenwich; nil when the text is no zone.
local function zone(text)
  if text == "Z" or text == "z" then return 0 end
  local sign, hours, minutes = text:match("^([+-])(%d%d):(%d%d)$")
  hours, minutes = tonumber(hours), tonumber(minutes)
  if not sign or hours > 23 or minutes > 59 then return nil end
  return (sign == "-" and -1 or 1) * (hours * 60 + minutes)
end

--- A moment by RFC 3339 ("2026-01-31T12:00:00.5+01:00"; digits beyond the unit are cut). nil and the reason when
--- the text is none.
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
  local part = (fraction:sub(2) .. "000000000"):sub(1, digits)
  return give(seconds * PER_SECOND[unit] + (digits > 0 and int64(tonumber(part)) or 0LL), unit)
end

--- RFC 3339 in UTC, with the digits of the unit: format(0) is "1970-01-01T00:00:00.000Z".
function time.format(count, unit)
  unit = unit_of(unit)
  local per = PER_SECOND[unit]
  count = int64(count)
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
