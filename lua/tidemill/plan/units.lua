-- SPDX-License-Identifier: MIT
-- plan/units.lua: turns what people write (sizes, times, moments) into numbers and back.
-- A parser returns the number, or nil and the reason, a clause that follows the value and a colon.
local time = require("tidemill.lib.time")

local units = {}

local SIZES = {
  { "GiB", 2 ^ 30 }, { "MiB", 2 ^ 20 }, { "KiB", 2 ^ 10 },
  { "GB", 1e9 }, { "MB", 1e6 }, { "kB", 1e3 }, { "B", 1 },
}
local TIMES = {
  { "d", 86400e6 }, { "h", 3600e6 }, { "min", 60e6 }, { "s", 1e6 }, { "ms", 1e3 }, { "us", 1 },
}
local SIZE_HELP = 'not a size; write bytes, or a number with KiB, MiB or GiB, as "16MiB"'
local TIME_HELP = 'not a time; write seconds, or a number with us, ms, s, min, h or d, as "500ms"'
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

--- A share from 0.05, "0.05" or "5%".
function units.share(value)
  if type(value) == "string" then
    local percent = plain_number(value:match "^(.*)%%$" or "")
    value = percent and percent / 100 or plain_number(value)
  end
  if not is_number(value) then return nil, 'not a share; write 0.05, or "5%"' end
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

--- Milliseconds since the epoch of "2026-01-31T12:00:00.5+01:00" (RFC 3339; the zone must be there).
function units.moment(value)
  local milliseconds = time.parse(value, "ms")
  if not milliseconds then return nil, MOMENT_HELP end
  return milliseconds
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

--- 12345678 -> "12,345,678", rounded to a whole number
function units.show_count(number)
  local text = ("%.0f"):format(number)
  return (text:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", ""):gsub("^%-,", "-"))
end

--- 500000 -> "500ms"
function units.show_time(microseconds)
  return show(microseconds, TIMES) or "0s"
end

return units
