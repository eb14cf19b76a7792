-- SPDX-License-Identifier: MIT
-- cli/json.lua: writes Lua values as JSON for people and reports: whole numbers stay whole (lua-cjson keeps 14 digits),
-- and names are sorted, so that two reports can be compared.
local utf8 = require("tidemill.plan.utf8")

local json = {}

local SHORT = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

--- Returns a text as a string of JSON; what is not UTF-8 is replaced.
function json.quote(text)
  return '"' .. utf8.clean(text):gsub('[%c"\\]', function(c) return SHORT[c] or ("\\u%04x"):format(c:byte()) end) .. '"'
end

local function number_of(number)
  if number ~= number or number == math.huge or number == -math.huge then return "null" end
  if number % 1 == 0 and math.abs(number) < 2 ^ 63 then return ("%.0f"):format(number) end
  local short = ("%.15g"):format(number)
  return tonumber(short) == number and short or ("%.17g"):format(number)
end

local function sorted_names(object)
  local names = {}
  for name in pairs(object) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- Returns a value as JSON, one member a line. `lists`: the names of members that are lists also when empty, as
--- { partitions = true }. `indent` and `name` are for the recursion.
function json.encode(value, lists, indent, name)
  indent = indent or ""
  if type(value) == "string" then return json.quote(value) end
  if type(value) == "number" then return number_of(value) end
  if type(value) ~= "table" then return tostring(value) end
  local inner, parts = indent .. "  ", {}
  local is_list = value[1] ~= nil or next(value) == nil and lists and lists[name]
  for i, item in ipairs(is_list and value or {}) do parts[i] = inner .. json.encode(item, lists, inner) end
  for _, member in ipairs(is_list and {} or sorted_names(value)) do
    parts[#parts + 1] = inner .. json.quote(member) .. ": " .. json.encode(value[member], lists, inner, member)
  end
  local open, shut = is_list and "[" or "{", is_list and "]" or "}"
  if #parts == 0 then return open .. shut end
  return open .. "\n" .. table.concat(parts, ",\n") .. "\n" .. indent .. shut
end

local add

local function add_list(parts, list, lists)
  parts[#parts + 1] = "["
  for i, item in ipairs(list) do
    if i > 1 then parts[#parts + 1] = "," end
    add(parts, item, lists)
  end
  parts[#parts + 1] = "]"
end

local function add_object(parts, object, lists)
  parts[#parts + 1] = "{"
  for i, name in ipairs(sorted_names(object)) do
    parts[#parts + 1] = (i > 1 and "," or "") .. json.quote(name) .. ":"
    add(parts, object[name], lists, name)
  end
  parts[#parts + 1] = "}"
end

function add(parts, value, lists, name)
  if type(value) ~= "table" then
    parts[#parts + 1] = json.encode(value)
  elseif value[1] ~= nil or next(value) == nil and lists[name] then
    add_list(parts, value, lists)
  else
    add_object(parts, value, lists)
  end
end

--- Returns a value as JSON on one line, with lists. `lists`: the names of members that are lists also when they are
--- empty, as { partitions = true }.
function json.line(value, lists)
  local parts = {}
  add(parts, value, lists or {})
  return table.concat(parts)
end

--- Returns the members of an object of numbers and texts on one line, without its braces.
function json.members(object)
  local parts = {}
  for i, name in ipairs(sorted_names(object)) do parts[i] = json.quote(name) .. ":" .. json.encode(object[name]) end
  return table.concat(parts, ",")
end

return json
