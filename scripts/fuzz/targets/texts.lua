-- SPDX-License-Identifier: MIT
-- Lines of text that a transform takes apart: CSV, logfmt, syslog, grok, moments by a format, URLs and queries, UTF-8.
-- Whatever stands there, there is a value, or nil and a reason; what was read can be written, and is read as the same
-- value. Input: which reader, how it is asked, then the text.
local checks = require("scripts.fuzz.checks")
local tide = require("tidemill")

local check_answer, parts_of, same, try = checks.answer, checks.parts, checks.same, checks.try
local csv, logfmt, syslog, grok, time, url, utf8 = tide.csv, tide.logfmt, tide.syslog, tide.grok, tide.time, tide.url,
  tide.utf8

local CSV = { {}, { header = true }, { header = { "a", "b" } }, { separator = ";" }, { quote = "'" }, { quote = false },
  { separator = "%", quote = "." }, { separator = "\t", header = true } }

local readers = {}

function readers.c(text, how)
  local options = CSV[how % #CSV + 1]
  local rows = check_answer(csv.decode(text, options))
  if rows then
    -- The names of a header that was read are of no order: the rows are written by those that were given alone.
    if options.header ~= true then
      local out = options.header and { header = options.header } or options
      local again = try("no quotes, and a field has", csv.encode, rows, out)
      assert(again or options.quote == false, "rows that were read cannot be written")
      local back = options.header and { header = true } or options
      assert(not again or same(rows, assert(csv.decode(again, back))), "other rows are read of what was written")
    end
  end
  if options.header == true then return end
  local row = check_answer(csv.decode_row(text, options))
  local line = row and try("no quotes, and a field has", csv.encode_row, row, options)
  assert(not line or same(row, assert(csv.decode_row(line, options))), "another row is read of what was written")
end

function readers.l(text)
  local entries = check_answer(logfmt.decode(text))
  if entries then assert(same(entries, assert(logfmt.decode(logfmt.encode(entries)))), "another line") end
end

function readers.s(text)
  local entry = check_answer(syslog.decode(text))
  if entry then assert(same(entry, assert(syslog.decode(syslog.encode(entry)))), "another entry") end
end

local PATTERNS = { "%{COMBINEDAPACHELOG}", "%{SYSLOGBASE} %{GREEDYDATA:rest}",
  "%{TIMESTAMP_ISO8601:at} %{LOGLEVEL:level}",
  "%{NUMBER:a:float}[ ,]%{INT:b:int}", "^%{URI:uri}|%{IP:ip}|%{EMAILADDRESS:mail}$", "%{QS:a} %{PATH:b}",
  "%{INT:x:int} %{WORD:y} %{INT:x:int}", "%{DATA:a}=%{UUID:b}|%{MAC:c}|%{HTTPDATE:d}" }

function readers.g(text, how)
  local found, reason = grok.match(text, PATTERNS[how % #PATTERNS + 1])
  if found == nil then return assert(reason == nil or reason:find "^grok: ", reason) end
  for name, value in pairs(found) do
    assert(type(name) == "string" and value == value, "no field")
    if type(value) == "string" then assert(text:find(value, 1, true), "a field that is not in the text") end
  end
end

function readers.G(text)
  local pattern, subject = parts_of(text:sub(1, 300))
  local found, reason = try("tide.", grok.match, subject, pattern)
  assert(found ~= nil or reason == nil or type(reason) == "string")
end

local FORMATS = { "%d/%b/%Y:%H:%M:%S %z", "%F %T,%f", "%a, %d %b %Y %H:%M:%S %Z", "%m/%d/%y %I:%M %p", "%Y-%j",
  "%s.%L %z", "%b %e %T", "%FT%T.%N%z" }

local MOST_US = 2 ^ 63 -- beyond it in us, a moment is none that int64 holds

local function check_moment(text, format)
  local defaults = { year = 2024, zone = "-03:30" }
  local function read(unit) return try("the format: ", time.strptime, text, format, unit, defaults) end
  local s, ms, us, ns = read "s", read "ms", read "us", read "ns"
  if not ms then return end
  assert(s == math.floor(ms / 1000), "s and ms differ")
  if not us then return assert(math.abs(ms) > MOST_US / 1000, "ms is there, and us is not") end
  assert(ms == time.convert(us, "us", "ms"), "ms and us differ")
  assert(not ns or us == time.convert(ns, "ns", "us"), "us and ns differ")
  local shown = time.format(us, "us")
  assert(not shown or time.parse(shown, "us") == us, "a moment is shown as another")
end

function readers.t(text, how) check_moment(text, FORMATS[how % #FORMATS + 1]) end

function readers.T(text)
  local format, moment = parts_of(text)
  check_moment(moment, format)
end

function readers.u(text)
  local parts = check_answer(url.parse(text))
  if parts then assert(same(parts, assert(url.parse(url.build(parts)))), "another URL") end
  local values = check_answer(url.query(text))
  if values then assert(same(values, assert(url.query(url.build_query(values)))), "another query") end
  assert(url.unescape(url.escape(text)) == text, "another text")
  check_answer(url.unescape(text))
end

function readers.e(text, how)
  local count = check_answer(utf8.len(text))
  if not count then return assert(utf8.sub(text, 1, 1) == nil, "a part of what is no UTF-8") end
  local at = how % (count + 1)
  assert(count <= #text and utf8.sub(text, 1) == text and utf8.sub(text, 1, at) .. utf8.sub(text, at + 1) == text,
    "parts that are not the text")
end

return function(text)
  local kind, how = text:byte(1, 2)
  local read = how and readers[string.char(kind)]
  if read then read(text:sub(3), how) end
end
