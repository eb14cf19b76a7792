-- SPDX-License-Identifier: MIT
-- cli/json_changes.lua: what differs between two JSON documents, member by member, as `tidemill tap` and `tidemill try`
-- show it. JSON is compared by value: the order of members and the spaces do not count.
local document = require("tidemill.run.json_document")
local json = require("tidemill.run.json").public

local json_changes = {}

local MOST = 50 -- changes that are listed

-- ".name", or '["a b"]' where a name is none of Lua or JavaScript; "[3]" as in Lua, from 1.
local function step_to(name)
  if type(name) == "number" then return ("[%d]"):format(name) end
  return name:find("^[%a_][%w_]*$") and "." .. name or "[" .. json.encode(name) .. "]"
end

local function is_container(kind)
  return kind == "object" or kind == "array"
end

-- The names of both, sorted: numbers first.
local function names_of(one, other)
  local names, seen = {}, {}
  for _, side in ipairs { one, other } do
    for name in pairs(side) do
      if not seen[name] then names[#names + 1], seen[name] = name, true end
    end
  end
  table.sort(names, function(a, b)
    if type(a) ~= type(b) then return type(a) == "number" end
    return a < b
  end)
  return names
end

local function compare(changes, path, before, after)
  if before == after then return end
  local kind = json.type(before)
  if is_container(kind) and kind == json.type(after) then
    for _, name in ipairs(names_of(before, after)) do
      compare(changes, path .. step_to(name), before[name], after[name])
    end
    return
  end
  local old, new = before ~= nil and json.encode(before) or nil, after ~= nil and json.encode(after) or nil
  if old ~= new then changes[#changes + 1] = { path = path, before = old, after = new } end
end

--- Returns an array of { path, before, after } (JSON texts; nil where there is nothing), and how many more there are;
--- nil when one of the texts is neither an object nor an array.
function json_changes.of(before, after)
  local one, other = document(before), document(after)
  if one == nil or other == nil then return nil end
  local changes = {}
  compare(changes, "", one, other)
  local more = math.max(0, #changes - MOST)
  for i = #changes, MOST + 1, -1 do changes[i] = nil end
  return changes, more
end

return json_changes
