-- SPDX-License-Identifier: MIT
-- What the fuzz targets codecs and texts check of what a function of the library gives.
local checks = {}

--- Whether two values are alike, with their marks, whatever their tables are. A NaN is like itself.
function checks.same(one, other)
  if type(one) ~= "table" or type(other) ~= "table" then
    return type(one) == type(other) and (one == other or one ~= one and other ~= other)
  end
  if getmetatable(one) ~= getmetatable(other) then return false end
  for key, value in pairs(one) do
    if not checks.same(value, other[key]) then return false end
  end
  for key in pairs(other) do
    if one[key] == nil then return false end
  end
  return true
end

--- What a reader gave: a value, or nil and a reason that names no place of ours.
function checks.answer(value, reason)
  if value ~= nil then return value end
  assert(type(reason) == "string" and reason ~= "" and not reason:find "%.lua:", reason)
end

--- A call that the mistake of a script ends with an error of this name.
function checks.try(name, fn, ...)
  local ok, value, problem = pcall(fn, ...)
  if ok then return value, problem end
  assert(type(value) == "string" and value:find(name, 1, true), value)
end

--- What stands before a zero byte, and behind it.
function checks.parts(text)
  local at = text:find("\0", 1, true)
  if not at then return text, "" end
  return text:sub(1, at - 1), text:sub(at + 1)
end

return checks
