-- SPDX-License-Identifier: MIT
-- lib/syslog.lua: tide.syslog, one message without the framing of a transport, by RFC 5424 and, where the version is
-- missing, RFC 3164.
--   decode(text) -> { format = "rfc5424" | "rfc3164", facility =, severity = (numbers), timestamp =, hostname =,
--     app_name =, procid =, msgid =, structured_data =, message = }; nil and the reason
--   encode(entry) -> the text; format is "rfc5424" unless it says otherwise
--   facility_name(number), severity_name(number) -> "kern" ..., "emerg" ...
-- Texts but for facility and severity; a part that is "-" or missing is nil. timestamp is as it was written: tide.time
-- .parse reads that of RFC 5424; "Oct 11 22:14:15" of RFC 3164 has neither year nor zone, tide.time.strptime takes
-- both.
-- structured_data = { [id] = { [name] = text } }; of a name that is there several times a list of its texts. A message
-- of RFC 3164 has its tag as app_name, and as procid what stands in [] behind it.
local arguments = require("tidemill.lib.arguments")
local check = require("tidemill.run.check")
local calendar = require("tidemill.lib.calendar")
local marks = require("tidemill.run.marks")

local syslog = {}

local MARK = "\239\187\191" -- says in RFC 5424 that the message is UTF-8; it is no part of it
local FACILITIES = { [0] = "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron",
  "authpriv", "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5",
  "local6", "local7" }
local SEVERITIES = { [0] = "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug" }
-- The header's parts of RFC 5424 behind the timestamp, and their longest.
local PARTS = { { "hostname", 255 }, { "app_name", 48 }, { "procid", 128 }, { "msgid", 32 } }

-- ---- RFC 5424 ----

local function is_moment(text)
  local date, fraction, zone = text:match "^(%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d)%.?(%d*)([Z+-][%d:]*)$"
  return date and #fraction <= 6 and not text:find(".Z", 1, true) and calendar.seconds_of(date, zone) ~= nil
end

-- The value of a parameter whose quote is at `at`, and where it ends. A backslash escapes a quote, itself and ]; before
-- anything else it stands for itself.
local function read_value(text, at)
  local from = at + 1
  while true do
    local stop = text:find('["\\%]]', at + 1)
    local byte = stop and text:byte(stop)
    if byte == 34 then return text:sub(from, stop - 1):gsub('\\(["\\%]])', "%1"), stop + 1 end
    if byte ~= 92 then return nil end
    at = text:find('^["\\%]]', stop + 1) and stop + 1 or stop
  end
end

local function is_name(text)
  return #text <= 32 and not text:find '[^!-~]' and not text:find '[="%]]'
end

local function add_parameter(element, name, value)
  local before = element[name]
  if before == nil then
    element[name] = value
  elseif type(before) == "table" then
    before[#before + 1] = value
  else
    element[name] = marks.to_array { before, value }
  end
end

-- The elements of structured data at `at`, and where the message begins; nil and the reason.
local function read_data(text, at)
  if text:sub(at, at) == "-" then return nil, at + 1 end
  local data = {}
  while text:byte(at) == 91 do
    local id, behind = text:match("^%[([^ %]]+)()", at)
    if not id or not is_name(id) then return false, ("no name of structured data at byte %d"):format(at) end
    if data[id] then return false, ("the structured data %q are there twice"):format(id) end
    local element = {}
    while text:byte(behind) == 32 do
      local name, quote = text:match('^ ([^= %]"]+)=()"', behind)
      if not name or not is_name(name) then return false, ("no parameter at byte %d"):format(behind) end
      local value, stop = read_value(text, quote)
      if not value then return false, ("the value at byte %d has no end"):format(quote - 1) end
      add_parameter(element, name, value)
      behind = stop
    end
    if text:byte(behind) ~= 93 then return false, ("no ] at byte %d"):format(behind - 1) end
    data[id], at = element, behind + 1
  end
  if not next(data) then return false, ("no structured data at byte %d"):format(at - 1) end
  return data, at
end

local function decode_5424(text, at, entry)
  entry.format = "rfc5424"
  local moment, behind = text:match("^(%S+) ()", at)
  if not moment or (moment ~= "-" and not is_moment(moment)) then return nil, "no timestamp of RFC 5424" end
  entry.timestamp = moment ~= "-" and moment or nil
  for _, part in ipairs(PARTS) do
    local value, next_at = text:match("^([!-~]+) ()", behind)
    if not value or #value > part[2] then
      return nil, ("no %s of at most %d characters at byte %d"):format(part[1], part[2], behind - 1)
    end
    entry[part[1]], behind = value ~= "-" and value or nil, next_at
  end
  entry.structured_data, at = read_data(text, behind)
  if entry.structured_data == false then return nil, at end
  if at > #text then return entry end
  if text:byte(at) ~= 32 then return nil, ("no space at byte %d, behind the structured data"):format(at - 1) end
  entry.message = text:sub(text:sub(at + 1, at + 3) == MARK and at + 4 or at + 1)
  return entry
end

-- ---- RFC 3164 ----

local function decode_3164(text, at, entry)
  entry.format = "rfc3164"
  local moment, behind = text:match("^(%a%a%a [ %d]%d %d%d:%d%d:%d%d) ()", at)
  local month, day, hour, minute, second = (moment or ""):match "^(%a+) +(%d+) (%d+):(%d+):(%d+)$"
  local number = calendar.MONTHS[(month or ""):lower()]
  if not number or not calendar.exists(2000, number, tonumber(day), tonumber(hour), tonumber(minute), tonumber(second))
  then
    return nil, "neither a version of RFC 5424 nor a timestamp of RFC 3164"
  end
  entry.timestamp = moment
  entry.hostname, behind = text:match("^([!-~]+) ?()", behind)
  if not entry.hostname then return nil, "no hostname behind the timestamp" end
  local tag, body = text:match("^([%w_./-]+)()", behind)
  local pid, colon = text:match("^%[([^%]]*)%]:?()", body or behind)
  if tag and pid then
    entry.app_name, entry.procid, behind = tag, pid, colon
  elseif tag and text:byte(body) == 58 then
    entry.app_name, behind = tag, body + 1
  end
  if entry.app_name and text:byte(behind) == 32 then behind = behind + 1 end
  entry.message = text:sub(behind)
  return entry
end

function syslog.decode(text)
  arguments.text(text, "tide.syslog.decode")
  local digits, at = text:match "^<(%d%d?%d?)>()"
  local priority = tonumber(digits)
  if not priority or priority > 191 or #digits > 1 and digits:byte() == 48 then
    return nil, "syslog: no priority from <0> to <191>"
  end
  local entry, reason = { facility = math.floor(priority / 8), severity = priority % 8 }
  local version, behind = text:match("^(%d+) ()", at)
  if version == "1" then
    entry, reason = decode_5424(text, behind, entry)
  elseif version then
    return nil, ("syslog: version %s is not that of RFC 5424"):format(version:sub(1, 10))
  else
    entry, reason = decode_3164(text, at, entry)
  end
  if not entry then return nil, "syslog: " .. reason end
  return entry
end

-- ---- entry -> text ----

local KNOWN = { format = true, facility = true, severity = true, timestamp = true, hostname = true, app_name = true,
  procid = true, msgid = true, structured_data = true, message = true }

local function fail(text, ...)
  error({ ("tide.syslog.encode: " .. text):format(...) }, 0)
end

local function number_of(entry, name, most)
  local value = entry[name]
  if type(value) ~= "number" or value % 1 ~= 0 or value < 0 or value > most then
    fail("%s is a number from 0 to %d, got %s", name, most, arguments.shown(value))
  end
  return value
end

local function part_of(entry, name, longest)
  local value = entry[name]
  if value == nil then return "-" end
  if type(value) ~= "string" or value == "" or #value > longest or value:find "[^!-~]" then
    fail("%s is of 1 to %d visible ASCII characters, got %s", name, longest, arguments.shown(value))
  end
  return value
end

local function name_of(name)
  if type(name) ~= "string" or name == "" or not is_name(name) then
    fail("a name of structured data has 1 to 32 visible ASCII characters without = ] \", got %s", arguments.shown(name))
  end
  return name
end

local function sorted_names(of)
  if type(of) ~= "table" then fail("structured data are tables, got %s", arguments.shown(of)) end
  local names = {}
  for name in pairs(of) do names[#names + 1] = name_of(name) end
  table.sort(names)
  return names
end

local function data_of(data)
  if data == nil then return "-" end
  local parts = {}
  for _, id in ipairs(sorted_names(data)) do
    parts[#parts + 1] = "[" .. id
    for _, name in ipairs(sorted_names(data[id])) do
      local values = data[id][name]
      if type(values) ~= "table" then values = { values } end
      local wrong = check.not_array(values)
      if wrong then fail("the values of %s are a list; this has %s", name, wrong) end
      for _, value in ipairs(values) do
        if type(value) ~= "string" then fail("the value of %s is a text, got %s", name, arguments.shown(value)) end
        parts[#parts + 1] = (' %s="%s"'):format(name, (value:gsub('["\\%]]', "\\%0")))
      end
    end
    parts[#parts + 1] = "]"
  end
  return #parts > 0 and table.concat(parts) or "-"
end

local function encode_5424(entry, priority)
  local moment = entry.timestamp
  if moment ~= nil and (type(moment) ~= "string" or not is_moment(moment)) then
    fail("timestamp is of RFC 3339 with at most six digits of a second, got %s", arguments.shown(moment))
  end
  local words = { ("<%d>1"):format(priority), moment or "-" }
  for _, part in ipairs(PARTS) do words[#words + 1] = part_of(entry, part[1], part[2]) end
  words[#words + 1] = data_of(entry.structured_data)
  words[#words + 1] = entry.message
  return table.concat(words, " ")
end

local function encode_3164(entry, priority)
  local text = ("<%d>%s %s "):format(priority, tostring(entry.timestamp), part_of(entry, "hostname", 255))
  if entry.app_name then
    text = text .. entry.app_name .. (entry.procid and ("[%s]"):format(entry.procid) or "") .. ": "
  end
  text = text .. (entry.message or "")
  local back, reason = syslog.decode(text)
  if not back then fail("%s", reason) end
  for name, value in pairs(back) do
    if entry[name] ~= value and not (name == "message" and value == "") then
      fail("%s cannot be written by RFC 3164: %s", name, arguments.shown(entry[name]))
    end
  end
  for name, value in pairs(entry) do
    if back[name] == nil then fail("%s cannot be written by RFC 3164: %s", name, arguments.shown(value)) end
  end
  return text
end

function syslog.encode(entry)
  if type(entry) ~= "table" then error("tide.syslog.encode takes a table, got " .. arguments.shown(entry), 2) end
  local ok, result = pcall(function()
    for name in pairs(entry) do
      if not KNOWN[name] then fail("an entry has no %s", arguments.shown(name)) end
    end
    if entry.message ~= nil and type(entry.message) ~= "string" then
      fail("message is a text, got %s", arguments.shown(entry.message))
    end
    local priority = number_of(entry, "facility", 23) * 8 + number_of(entry, "severity", 7)
    if entry.format == "rfc3164" then return encode_3164(entry, priority) end
    if entry.format ~= nil and entry.format ~= "rfc5424" then
      fail('format is "rfc5424" or "rfc3164", got %s', arguments.shown(entry.format))
    end
    return encode_5424(entry, priority)
  end)
  if not ok then error(type(result) == "table" and result[1] or result, type(result) == "table" and 2 or 0) end
  return result
end

function syslog.facility_name(number)
  return FACILITIES[arguments.integer(number, "tide.syslog.facility_name", 0, 23)]
end

function syslog.severity_name(number)
  return SEVERITIES[arguments.integer(number, "tide.syslog.severity_name", 0, 7)]
end

return syslog
