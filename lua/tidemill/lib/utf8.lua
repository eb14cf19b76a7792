-- SPDX-License-Identifier: MIT
-- lib/utf8.lua: tide.utf8, texts by characters (code points) and not by bytes.
--   sub(text, first[, last]) -> as string.sub: from 1, negative numbers count from the end
--   len(text) -> the number of characters
-- For bytes that are not UTF-8 (RFC 3629: no surrogates, nothing longer than needed) both give nil and the reason.
local arguments = require("tidemill.lib.arguments")

local utf8 = {}

-- The bytes of the character at `at`; nil when there is none.
local function size_at(text, at)
  local a = text:byte(at)
  if a < 0x80 then return 1 end
  local b = text:byte(at + 1) or 0
  if a < 0xC2 or b < 0x80 or b > 0xBF then return nil end
  if a < 0xE0 then return 2 end
  local c = text:byte(at + 2) or 0
  if c < 0x80 or c > 0xBF then return nil end
  if a < 0xF0 then
    if (a == 0xE0 and b < 0xA0) or (a == 0xED and b > 0x9F) then return nil end
    return 3
  end
  local d = text:byte(at + 3) or 0
  if a > 0xF4 or d < 0x80 or d > 0xBF or (a == 0xF0 and b < 0x90) or (a == 0xF4 and b > 0x8F) then return nil end
  return 4
end

local function count_of(text)
  local at, count = 1, 0
  while at <= #text do
    local size = size_at(text, at)
    if not size then return nil, ("not UTF-8 at byte %d"):format(at - 1) end
    at, count = at + size, count + 1
  end
  return count
end

-- Where the character `index` (from 1, at most one more than there are) begins in a text that is UTF-8.
local function byte_of(text, index)
  local at = 1
  for _ = 2, index do at = at + size_at(text, at) end
  return at
end

function utf8.len(text)
  arguments.text(text, "tide.utf8.len")
  return count_of(text)
end

function utf8.sub(text, first, last)
  arguments.text(text, "tide.utf8.sub")
  first = arguments.integer(first, "tide.utf8.sub: the first character", -2 ^ 53, 2 ^ 53)
  last = last == nil and -1 or arguments.integer(last, "tide.utf8.sub: the last character", -2 ^ 53, 2 ^ 53)
  local count, reason = count_of(text)
  if not count then return nil, reason end
  if first < 0 then first = count + first + 1 end
  if last < 0 then last = count + last + 1 end
  first, last = math.max(first, 1), math.min(last, count)
  if first > last then return "" end
  local from = byte_of(text, first)
  if last == count then return text:sub(from) end
  return text:sub(from, byte_of(text, last + 1) - 1)
end

return utf8
