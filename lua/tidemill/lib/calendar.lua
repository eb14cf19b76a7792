-- SPDX-License-Identifier: MIT
-- lib/calendar.lua: the project's only calendar, the proleptic Gregorian one, for lib/time.lua, strptime.lua and
-- syslog.lua. Days are counted from 1970-01-01.
local calendar = {}

local LENGTHS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

--- Numbers by the first three letters of the English names. January is 1, Sunday is 0.
calendar.MONTHS = { jan = 1, feb = 2, mar = 3, apr = 4, may = 5, jun = 6, jul = 7, aug = 8, sep = 9, oct = 10, nov = 11,
  dec = 12 }
calendar.WEEKDAYS = { sun = 0, mon = 1, tue = 2, wed = 3, thu = 4, fri = 5, sat = 6 }

--- The day of a date, and back; inside of both, months count from March.
function calendar.days_of(year, month, day)
  if month <= 2 then year, month = year - 1, month + 12 end
  return 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
    + math.floor((153 * month - 457) / 5) + day - 719469
end

function calendar.date_of(days)
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

function calendar.is_leap(year)
  return (year % 4 == 0 and year % 100 ~= 0) or year % 400 == 0
end

--- True if there is this date and time of day; there are no leap seconds.
function calendar.exists(year, month, day, hour, minute, second)
  local length = month == 2 and calendar.is_leap(year) and 29 or LENGTHS[month] or 0
  return day >= 1 and day <= length and hour <= 23 and minute <= 59 and second <= 59
end

--- Minutes east of Greenwich of "Z" or "+01:30"; nil when the text is no zone.
function calendar.zone(text)
  if text == "Z" or text == "z" then return 0 end
  local sign, hours, minutes = text:match("^([+-])(%d%d):(%d%d)$")
  hours, minutes = tonumber(hours), tonumber(minutes)
  if not sign or hours > 23 or minutes > 59 then return nil end
  return (sign == "-" and -1 or 1) * (hours * 60 + minutes)
end

--- Seconds since 1970 of a date as "2026-01-31T12:00:00" (also with t or a space) and a zone; nil when there is no such
--- moment.
function calendar.seconds_of(date, zone)
  local y, m, d, hh, mm, ss = date:match "^(%d%d%d%d)%-(%d%d)%-(%d%d)[Tt ](%d%d):(%d%d):(%d%d)$"
  local east = y and calendar.zone(zone)
  if not east then return nil end
  y, m, d, hh, mm, ss = tonumber(y), tonumber(m), tonumber(d), tonumber(hh), tonumber(mm), tonumber(ss)
  if not calendar.exists(y, m, d, hh, mm, ss) then return nil end
  return calendar.days_of(y, m, d) * 86400 + hh * 3600 + (mm - east) * 60 + ss
end

return calendar
