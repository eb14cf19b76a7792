-- SPDX-License-Identifier: MIT
-- plan/units.lua: what people write (sizes, times, moments) to numbers and back.
-- A parser returns the number, or nil and the reason (a clause that follows the value and a colon).
local units = {}

local SIZES = {
  { "GiB", 2 ^ 30 }, { "MiB", 2 ^ 20 }, { "KiB", 2 ^ 10 },
  { "GB", 1e9 }, { "MB", 1e6 }, { "kB", 1e3 }, { "B", 1 },
}
local TIMES = {
  { "d", 86400e6 }, { "h", 3600e6 }, { "min", 60e6 }, { "s", 1e6 }, { "ms", 1e3 }, { "us", 1 },
}
local SIZE_HELP = 'not a size; write bytes, or a number with KiB, MiB or GiB, as "16MiB"'
local TIME_HELP = 'not a time; write seconds, or a number with us, ms, s, min or h, as "500ms"'
local MOMENT_HELP = 'not a moment; write it by RFC 3339, as "2026-01-31T12:00:00Z"'

local function plain_number(text)
  return text:find("^%-?%d+%.?%d*$") and tonumber(text) or nil
end

local function with_unit(text, list)
  local number, name = text:match("^(%-?%d+%.?%d*)%s*(%a+)$")
  for _, unit in ipairs(list) do
    if unit[1] == name then return tonumber(number) * unit[2] end
  end
end

local function is_number(value)
  return type(value) == "number" and value == value and math.abs(value) < 2 ^ 53
end

--- A whole number: 5 or "5".
function units.count(value)
  if type(value) == "string" then value = plain_number(value) end
  if not is_number(value) or value % 1 ~= 0 then return nil, "not a whole number" end
  return value
end

function units.number(value)
  if type(value) == "string" then value = plain_number(value) end
  if not is_number(value) then return nil, "not a number" end
  return value
end

--- Bytes: 1024, "1024" or "16MiB".
function units.size(value)
  if type(value) == "string" then value = plain_number(value) or with_unit(value, SIZES) end
  if not is_number(value) or value % 1 ~= 0 then return nil, SIZE_HELP end
  return value
end

--- Microseconds from seconds: 0.5, "0.5" or "500ms".
function units.time(value)
  if type(value) == "string" then
    local seconds = plain_number(value)
    value = seconds and seconds * 1e6 or with_unit(value, TIMES)
  elseif type(value) == "number" then
    value = value * 1e6
  end
  if not is_number(value) then return nil, TIME_HELP end
  return math.floor(value + 0.5)
end

-- Days from 1970-01-01 to the day given (the proleptic Gregorian calendar, years of 400 repeat).
local function days(year, month, day)
  if month <= 2 then year, month = year - 1, month + 12 end
  local leap = math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
  return 365 * year + leap + math.floor((153 * month - 457) / 5) + day - 719469
end

local MONTHS = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

local function month_days(year, month)
  local leap = (year % 4 == 0 and year % 100 ~= 0) or year % 400 == 0
  return month == 2 and not leap and 28 or MONTHS[month] or 0
end

-- Minutes east of Greenwich of "Z" or "+01:30"; nil when it is neither.
local function zone_minutes(zone)
  if zone == "Z" or zone == "z" then return 0 end
  local sign, hours, minutes = zone:match("^([+-])(%d%d):(%d%d)$")
  if not sign or tonumber(hours) > 23 or tonumber(minutes) > 59 then return nil end
  return (sign == "-" and -1 or 1) * (hours * 60 + minutes)
end

--- Milliseconds since the epoch of "2026-01-31T12:00:00.5+01:00" (RFC 3339; the zone must be there).
function units.moment(value)
  if type(value) ~= "string" then return nil, MOMENT_HELP end
  local pattern = "^(%d%d%d%d)%-(%d%d)%-(%d%d)[Tt ](%d%d):(%d%d):(%d%d)(%.?%d*)(%S+)$"
  local year, month, day, hour, minute, second, fraction, zone = value:match(pattern)
  local east = zone and zone_minutes(zone)
  if not east or fraction == "." then return nil, MOMENT_HELP end
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  hour, minute, second = tonumber(hour), tonumber(minute), tonumber(second)
  if day < 1 or day > month_days(year, month) or hour > 23 or minute > 59 or second > 59 then
    return nil, MOMENT_HELP
  end
  local seconds = days(year, month, day) * 86400 + hour * 3600 + (minute - east) * 60 + second
  return seconds * 1000 + math.floor((tonumber("0" .. fraction) or 0) * 1000)
end

local function show(value, list)
  for _, unit in ipairs(list) do
    if value ~= 0 and value % unit[2] == 0 then
      return string.format("%.0f%s", value / unit[2], unit[1])
    end
  end
end

local BINARY = { SIZES[1], SIZES[2], SIZES[3] }

--- 16777216 -> "16MiB"; what is no whole KiB stays a number of bytes.
function units.show_size(bytes)
  return show(bytes, BINARY) or string.format("%.0f", bytes)
end

--- 500000 -> "500ms"
function units.show_time(microseconds)
  return show(microseconds, TIMES) or "0s"
end

return units
