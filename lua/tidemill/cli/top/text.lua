-- SPDX-License-Identifier: MIT
-- cli/top/text.lua: makes texts fit for a terminal. What comes from a pipeline (topic names, errors) may hold anything:
-- control characters would move the cursor, and characters that turn the direction of writing would lie about the rest
-- of the line. Both are shown as escapes. Widths are counted in columns, as the C library knows them.
local bit = require("bit")
local ffi = require("ffi")

ffi.cdef "int wcwidth(int character);"

local text = {}

local DOTS = "…"
local can_count = false -- wcwidth knows more than ASCII

-- wcwidth counts by the locale. C.UTF-8 is part of the C library; without it all that is not ASCII is escaped.
local function set_locale()
  if not can_count then can_count = os.setlocale("C.UTF-8", "ctype") and "yes" or "no" end
  return can_count == "yes"
end

-- Zero width, or the direction of what follows.
local function misleads(code)
  return code >= 0x200B and code <= 0x200F or code >= 0x2028 and code <= 0x202E or code >= 0x2060 and code <= 0x206F
    or code == 0xFEFF or code >= 0xE0000
end

-- The code point that begins at a byte, and its length; nil for what is no UTF-8.
local function decode(bytes, at)
  local first = bytes:byte(at)
  if first < 0x80 then return first, 1 end
  local length = first >= 0xC2 and first < 0xE0 and 2 or first >= 0xE0 and first < 0xF0 and 3
    or first >= 0xF0 and first < 0xF5 and 4
  if not length then return nil end
  local code = bit.band(first, bit.rshift(0x7F, length))
  for i = at + 1, at + length - 1 do
    local byte = bytes:byte(i)
    if not byte or bit.band(byte, 0xC0) ~= 0x80 then return nil end
    code = bit.bor(bit.lshift(code, 6), bit.band(byte, 0x3F))
  end
  local smallest = ({ 0, 0x80, 0x800, 0x10000 })[length]
  if code < smallest or code > 0x10FFFF or code >= 0xD800 and code < 0xE000 then return nil end
  return code, length
end

local NAMED = { [9] = "\\t", [10] = "\\n", [13] = "\\r" }

-- Calls each(shown, width) for each character: itself, or its escape.
local function each_character(bytes, each)
  local counts, at = set_locale(), 1
  while at <= #bytes do
    local code, length = decode(bytes, at)
    local shown
    if not code then
      shown, length = ("\\x%02x"):format(bytes:byte(at)), 1
    elseif code < 0x20 or code == 0x7F then
      shown = NAMED[code] or ("\\x%02x"):format(code)
    elseif code >= 0x80 and (not counts or misleads(code) or ffi.C.wcwidth(code) < 0) then
      shown = ("\\u{%x}"):format(code)
    end
    local width = shown and #shown or code < 0x80 and 1 or ffi.C.wcwidth(code)
    if each(shown or bytes:sub(at, at + length - 1), width) == false then return end
    at = at + length
  end
end

--- Returns the text with escapes in place of what a terminal must not get, and its width in columns.
function text.clean(bytes)
  local parts, sum = {}, 0
  each_character(bytes, function(shown, width)
    parts[#parts + 1] = shown
    sum = sum + width
  end)
  return table.concat(parts), sum
end

--- The width in columns of a text that is clean.
function text.width(clean)
  if not clean:find("[\128-\255]") then return #clean end
  return (select(2, text.clean(clean)))
end

--- Returns the text, if it is wider than `width` its beginning with "…" behind it.
function text.cut(clean, width)
  if text.width(clean) <= width then return clean end
  if width < 1 then return "" end
  local parts, sum = {}, 0
  each_character(clean, function(shown, columns)
    if sum + columns > width - 1 then return false end
    parts[#parts + 1] = shown
    sum = sum + columns
  end)
  return table.concat(parts) .. DOTS
end

--- Returns the text in exactly `width` columns: cut, or with spaces behind it (or before it).
function text.pad(clean, width, right)
  local fitted = text.cut(clean, width)
  local space = (" "):rep(width - text.width(fitted))
  return right and space .. fitted or fitted .. space
end

--- Returns a clean text in ASCII, as wide as it was.
function text.ascii(clean)
  if not clean:find("[\128-\255]") then return clean end
  local parts = {}
  each_character(clean, function(shown, columns)
    parts[#parts + 1] = shown == DOTS and "~" or shown:find("^[\128-\255]") and ("?"):rep(columns) or shown
  end)
  return table.concat(parts)
end

--- Returns a clean text as lines of at most `width` columns, broken between words; a word that is longer is broken.
function text.wrap(clean, width)
  local lines, line, used = {}, "", 0
  local function put(word, columns)
    if used > 0 and used + 1 + columns > width then
      lines[#lines + 1], line, used = line, "", 0
    end
    line, used = used > 0 and line .. " " .. word or word, used > 0 and used + 1 + columns or columns
  end
  for word in clean:gmatch("[^ ]+") do
    local piece, columns = {}, 0
    each_character(word, function(shown, wide)
      if columns + wide > width then
        put(table.concat(piece), columns)
        piece, columns = {}, 0
      end
      piece[#piece + 1], columns = shown, columns + wide
    end)
    put(table.concat(piece), columns)
  end
  if used > 0 then lines[#lines + 1] = line end
  return lines
end

return text
