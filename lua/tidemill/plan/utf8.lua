-- SPDX-License-Identifier: MIT
-- plan/utf8.lua: texts whose readers take nothing but UTF-8 (JSON, Prometheus, SVG) and refuse the whole document
-- otherwise.
local utf8 = {}

--- Returns a text in which each byte that is not part of UTF-8 is a question mark.
function utf8.clean(text)
  if not text:find("[\128-\255]") then return text end
  local parts, at = {}, 1
  while at <= #text do
    local part = text:match("^[%z\1-\127]+", at) or text:match("^[\194-\223][\128-\191]", at)
      or text:match("^\224[\160-\191][\128-\191]", at)
      or text:match("^[\225-\236\238\239][\128-\191][\128-\191]", at)
      or text:match("^\237[\128-\159][\128-\191]", at) or text:match("^\240[\144-\191][\128-\191][\128-\191]", at)
      or text:match("^[\241-\243][\128-\191][\128-\191][\128-\191]", at)
      or text:match("^\244[\128-\143][\128-\191][\128-\191]", at)
    parts[#parts + 1] = part or "?"
    at = at + (part and #part or 1)
  end
  return table.concat(parts)
end

return utf8
