-- SPDX-License-Identifier: MIT
-- lib/strptime.lua: reads a moment by a format, for tide.time.strptime. The C library's strptime is not used: it takes
-- 30 February, knows the zone of the machine alone, and its names are those of the language that is set.
--   %Y four digits, %y two (69 to 99 are of 19xx)   %m %b %B %h month      %d %e day   %j day of the year
--   %H %k hour, %I %l hour of 12 with %p            %M minute  %S second   %f %L %N one to nine digits of a second
--   %a %A weekday, which has to be that of the date %s seconds since 1970
--   %z +0100, +01:00, +01, Z                        %Z UTC, GMT or Z       %T %H:%M:%S  %R %H:%M
--   %F %Y-%m-%d           %D %m/%d/%y
--   %n %t and a space: any white space, or none     %% a percent sign
-- Names are English, whole or their first three letters, in any case. Numbers have as many digits or fewer.
local calendar = require("tidemill.lib.calendar")

local strptime = {}

local WHOLE = { T = "%H:%M:%S", R = "%H:%M", F = "%Y-%m-%d", D = "%m/%d/%y" }
local MONTH_NAMES = { "january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
  "november", "december" }
local DAY_NAMES = { [0] = "sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday" }
local MOST_FORMATS = 1000

-- A reader takes the text and where it is, and gives what it has read and where the text goes on; nil for none.

local function digits(least, most, low, high)
  local pattern = "^" .. ("%d"):rep(least) .. ("%d?"):rep(most - least) .. "()"
  return function(text, at)
    local behind = text:match(pattern, at)
    local value = behind and tonumber(text:sub(at, behind - 1))
    if value and value >= low and value <= high then return value, behind end
  end
end

-- As digits, with spaces before: "Oct  1".
local function padded(high, low)
  local read = digits(1, 2, low or 0, high)
  return function(text, at) return read(text, text:match("^ ?()", at)) end
end

local function name(names, numbers)
  return function(text, at)
    local word = text:match("^%a+", at)
    local number = word and numbers[word:sub(1, 3):lower()]
    if number and (#word == 3 or word:lower() == names[number]) then return number, at + #word end
  end
end

local function read_fraction(text, at)
  local part = text:match("^%d+", at)
  if part and #part <= 9 then return tonumber((part .. "00000000"):sub(1, 9)), at + #part end
end

local function read_seconds(text, at, fields)
  local number = text:match("^-?%d+", at)
  fields.negative = number and number:find("^-") ~= nil
  if number and #number <= 15 then return tonumber(number), at + #number end
end

local function read_zone(text, at)
  if text:find("^[Zz]", at) then return 0, at + 1 end
  local sign, hours, minutes, behind = text:match("^([+-])(%d%d):?(%d%d)()", at)
  if not sign then
    sign, hours, behind = text:match("^([+-])(%d%d)()", at)
    minutes = "00"
  end
  local east = sign and calendar.zone(sign .. hours .. ":" .. minutes)
  if east then return east, behind end
end

local function read_zone_name(text, at)
  local word = text:match("^%a+", at)
  if word == "UTC" or word == "GMT" or word == "Z" then return 0, at + #word end
end

local function read_half(text, at)
  local word = (text:match("^%a%.?%a%.?", at) or "")
  local plain = word:gsub("%.", ""):lower()
  if plain == "am" or plain == "pm" then return plain, at + #word end
end

local month, weekday = name(MONTH_NAMES, calendar.MONTHS), name(DAY_NAMES, calendar.WEEKDAYS)
-- What each letter fills in, and its reader.
local READERS = {
  Y = { "year", digits(4, 4, 0, 9999) }, y = { "short_year", digits(2, 2, 0, 99) },
  m = { "month", digits(1, 2, 1, 12) },
  b = { "month", month }, B = { "month", month }, h = { "month", month }, d = { "day", padded(31, 1) },
  e = { "day", padded(31, 1) }, j = { "of_year", digits(1, 3, 1, 366) }, H = { "hour", digits(1, 2, 0, 23) },
  k = { "hour", padded(23) }, I = { "hour12", digits(1, 2, 1, 12) }, l = { "hour12", padded(12, 1) },
  p = { "half", read_half }, M = { "minute", digits(1, 2, 0, 59) }, S = { "second", digits(1, 2, 0, 59) },
  f = { "nanoseconds", read_fraction }, L = { "nanoseconds", read_fraction }, N = { "nanoseconds", read_fraction },
  a = { "weekday", weekday }, A = { "weekday", weekday }, s = { "seconds", read_seconds }, z = { "zone", read_zone },
  Z = { "zone", read_zone_name },
}

-- A format as an array of { field =, read = } and { text = }, where a space stands for white space.
local function compile(format)
  local steps, at = {}, 1
  while at <= #format do
    local letter = format:match("^%%(.)", at)
    if not letter and format:sub(at, at) == "%" then return nil, "% at its end" end
    if letter == "n" or letter == "t" then letter, format = nil, format:sub(1, at - 1) .. "  " .. format:sub(at + 2) end
    if letter and letter ~= "%" and not READERS[letter] then
      return nil, ("%%%s is none of its letters"):format(letter)
    end
    if letter and letter ~= "%" then
      steps[#steps + 1] = { field = READERS[letter][1], read = READERS[letter][2] }
    else
      local one = letter or format:sub(at, at)
      steps[#steps + 1] = { text = one:find "%s" and " " or one }
    end
    at = at + (letter and 2 or 1)
  end
  return steps
end

local kept, count = {}, 0

local BESIDE_SECONDS = { seconds = true, nanoseconds = true, zone = true }

-- Nothing of a text is read in vain: a moment of %s says all but the fraction.
local function check_seconds(steps)
  local has_seconds, other = false, false
  for _, step in ipairs(steps) do
    has_seconds = has_seconds or step.field == "seconds"
    other = other or step.field and not BESIDE_SECONDS[step.field]
  end
  if has_seconds and other then return nil, "%s stands beside no other letter than a fraction and a zone" end
  return steps
end

--- The steps of a format; nil and what is wrong with it.
function strptime.compile(format)
  if kept[format] then return kept[format] end
  local plain = format:gsub("%%(.)", WHOLE)
  local steps, problem = compile(plain)
  if steps then steps, problem = check_seconds(steps) end
  if not steps then return nil, problem end
  if count == MOST_FORMATS then kept, count = {}, 0 end
  kept[format], count = steps, count + 1
  return steps
end

local function read_fields(steps, text)
  local fields, at = {}, 1
  for i = 1, #steps do
    local step = steps[i]
    if step.text == " " then
      at = text:match("^%s*()", at)
    elseif step.text then
      if text:sub(at, at) ~= step.text then return nil, at end
      at = at + 1
    else
      local value, behind = step.read(text, at, fields)
      if value == nil or (fields[step.field] ~= nil and fields[step.field] ~= value) then return nil, at end
      fields[step.field], at = value, behind
    end
  end
  if at <= #text then return nil, at end
  return fields
end

-- The year of the fields; nil when they have none.
local function year_of(fields, default)
  local short = fields.short_year
  local year = short and short + (short >= 69 and 1900 or 2000)
  if fields.year and year and fields.year ~= year then return nil end
  return fields.year or year or default
end

local function hour_of(fields)
  if not fields.hour12 then return not fields.half and (fields.hour or 0) or nil end
  if not fields.half then return nil end
  local hour = fields.hour12 % 12 + (fields.half == "pm" and 12 or 0)
  return (fields.hour == nil or fields.hour == hour) and hour or nil
end

-- The day since 1970; nil and the reason.
local function day_of(fields, default_year)
  local year = year_of(fields, default_year)
  if not year then return nil, "no year" end
  local day
  if fields.of_year then
    if fields.of_year > (calendar.is_leap(year) and 366 or 365) then return nil, "no such moment" end
    day = calendar.days_of(year, 1, 1) + fields.of_year - 1
  elseif not (fields.month and fields.day) then
    return nil, "no month and day"
  elseif not calendar.exists(year, fields.month, fields.day, 0, 0, 0) then
    return nil, "no such moment"
  else
    day = calendar.days_of(year, fields.month, fields.day)
  end
  if fields.weekday and (day + 4) % 7 ~= fields.weekday then return nil, "another weekday than that of the date" end
  return day
end

--- Seconds since 1970 and nanoseconds of a text; nil and the reason. `year` and `zone` (minutes east) are for what the
--- format does not have.
function strptime.read(steps, text, year, zone)
  local fields, at = read_fields(steps, text)
  if not fields then return nil, ("not as the format says, at byte %d"):format(at - 1) end
  if fields.seconds then
    local nanoseconds = fields.nanoseconds or 0
    if fields.negative and nanoseconds > 0 then return fields.seconds - 1, 1000000000 - nanoseconds end
    return fields.seconds, nanoseconds
  end
  local day, reason = day_of(fields, year)
  if not day then return nil, reason end
  local hour = hour_of(fields)
  if not hour then return nil, "an hour of 12 without am or pm, or the other way around" end
  local seconds = day * 86400 + hour * 3600 + (fields.minute or 0) * 60 + (fields.second or 0)
  return seconds - (fields.zone or zone) * 60, fields.nanoseconds or 0
end

return strptime
