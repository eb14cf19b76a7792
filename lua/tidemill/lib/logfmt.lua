-- SPDX-License-Identifier: MIT
-- lib/logfmt.lua: tide.logfmt, lines as `level=info msg="order accepted" id=12`.
--   decode(text) -> a table of texts by key. A key without = is true, `key=` is "". Quoted values have the escapes of
--     JSON; other values end at a space. nil and the reason for a key that is there twice, a quote in a plain value, a
--     quoted value that is not closed or has text behind it, an escape that is none.
--   encode(table[, first]) -> a line; `first` is a list of the keys to begin with, the others follow by name. true is
--     written as the key alone, what is nil or null is left out.
local arguments = require("tidemill.lib.arguments")
local json = require("tidemill.run.json")
local marks = require("tidemill.run.marks")

local logfmt = {}

local SPACE, EQUALS, QUOTE, BACKSLASH = 32, 61, 34, 92
local ESCAPES = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }
local WRITTEN = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function utf8_of(code)
  if code < 0x80 then return string.char(code) end
  if code < 0x800 then return string.char(0xC0 + math.floor(code / 64), 0x80 + code % 64) end
  if code < 0x10000 then
    return string.char(0xE0 + math.floor(code / 4096), 0x80 + math.floor(code / 64) % 64, 0x80 + code % 64)
  end
  return string.char(0xF0 + math.floor(code / 262144), 0x80 + math.floor(code / 4096) % 64,
    0x80 + math.floor(code / 64) % 64, 0x80 + code % 64)
end

-- The character of the \u at `at`, of both halves of a pair, and where the text goes on; nil where there is none.
local function read_unicode(text, at)
  local code = tonumber(text:match("^%x%x%x%x", at + 2) or "", 16)
  if not code or (code >= 0xDC00 and code <= 0xDFFF) then return nil end
  if code < 0xD800 or code > 0xDBFF then return utf8_of(code), at + 6 end
  local low = tonumber(text:match("^\\u(%x%x%x%x)", at + 6) or "", 16)
  if not low or low < 0xDC00 or low > 0xDFFF then return nil end
  return utf8_of(0x10000 + (code - 0xD800) * 0x400 + low - 0xDC00), at + 12
end

-- The value whose quote is at `at`, and where it ends; nil and the reason.
local function read_quoted(text, at)
  local parts, from = nil, at + 1
  local i = from
  while true do
    local byte = text:byte(i)
    if not byte then return nil, ("the quote at byte %d is not closed"):format(at - 1) end
    if byte == QUOTE then break end
    if byte == BACKSLASH then
      local letter = text:sub(i + 1, i + 1)
      local character, behind = ESCAPES[letter], i + 2
      if letter == "u" then character, behind = read_unicode(text, i) end
      if not character then return nil, ("no escape at byte %d"):format(i - 1) end
      parts = parts or {}
      parts[#parts + 1] = text:sub(from, i - 1)
      parts[#parts + 1] = character
      i, from = behind, behind
    else
      i = i + 1
    end
  end
  local last = text:sub(from, i - 1)
  if not parts then return last, i + 1 end
  return table.concat(parts) .. last, i + 1
end

-- Where what begins at `at` ends: at a space or another control character, or at `stop`.
local function end_of(text, at, stop)
  while true do
    local byte = text:byte(at)
    if not byte or byte <= SPACE or byte == stop then return at end
    at = at + 1
  end
end

-- The value behind the = at `at` - 1, and where it ends; nil and the reason.
local function read_value(text, at)
  if text:byte(at) == QUOTE then
    local value, behind = read_quoted(text, at)
    if value and (text:byte(behind) or SPACE) > SPACE then
      return nil, ("text behind a quoted value at byte %d"):format(behind - 1)
    end
    return value, behind
  end
  local behind = end_of(text, at, QUOTE)
  if text:byte(behind) == QUOTE then return nil, ("a quote in a plain value at byte %d"):format(behind - 1) end
  return text:sub(at, behind - 1), behind
end

function logfmt.decode(text)
  arguments.text(text, "tide.logfmt.decode")
  local found, at = {}, 1
  while true do
    while (text:byte(at) or 255) <= SPACE do at = at + 1 end
    if at > #text then return found end
    local behind = end_of(text, at, EQUALS)
    local key = text:sub(at, behind - 1)
    if key == "" or key:find('"', 1, true) then return nil, ("logfmt: no key at byte %d"):format(at - 1) end
    if found[key] ~= nil then return nil, ("logfmt: the key at byte %d is there twice"):format(at - 1) end
    local value = true
    if text:byte(behind) == EQUALS then
      value, behind = read_value(text, behind + 1)
      if not value then return nil, "logfmt: " .. behind end
    end
    found[key], at = value, behind
  end
end

local function quoted(text)
  return '"' .. text:gsub('[%c"\\]', function(c) return WRITTEN[c] or ("\\u%04x"):format(c:byte()) end) .. '"'
end

local function text_of(key, value)
  if type(value) == "string" then
    return value:find '[%c "\\=]' and quoted(value) or value
  end
  local ok, text = pcall(json.public.text, value)
  if not ok or (type(value) == "table" and marks.of(value) ~= marks.STAND_IN) then
    error(("tide.logfmt.encode: the value of %s is a string, number or boolean, got %s"):format(arguments.shown(key),
      arguments.shown(value)), 4)
  end
  return text
end

local function add(parts, entries, key)
  if type(key) ~= "string" or key == "" or key:find '[%z\1-\32"=]' then
    error("tide.logfmt.encode: a key is a text without spaces, quotes and =, got " .. arguments.shown(key), 3)
  end
  local value = entries[key]
  if value == nil or value == json.null then return end
  parts[#parts + 1] = value == true and key or key .. "=" .. text_of(key, value)
end

function logfmt.encode(entries, first)
  if type(entries) ~= "table" then error("tide.logfmt.encode takes a table, got " .. arguments.shown(entries), 2) end
  if first ~= nil and type(first) ~= "table" then
    error("tide.logfmt.encode: the keys to begin with are a list, got " .. arguments.shown(first), 2)
  end
  local parts, written, others = {}, {}, {}
  for _, key in ipairs(first or {}) do
    if not written[key] then add(parts, entries, key) end
    written[key] = true
  end
  for key in pairs(entries) do
    if not written[key] then others[#others + 1] = key end
  end
  table.sort(others, function(a, b) return tostring(a) < tostring(b) end)
  for _, key in ipairs(others) do add(parts, entries, key) end
  return table.concat(parts, " ")
end

return logfmt
