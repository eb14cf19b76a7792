-- SPDX-License-Identifier: MIT
-- Random JSON documents, and the same random reads and edits of a view and of a model (spec/support/jansson.lua).
local ffi = require 'ffi'
local json = require 'tidemill.run.json'
local null = json.null

local made = {}

local random = math.random

local function pick(list)
  return list[random(#list)]
end

local keys = { 'a', 'b', 'id', 'level', 'tags', 'value', '', 'k\\u0065y', 'key', '\\"q\\\\', 'é', '\\u00e9',
  'long key with spaces' }
local names = { 'a', 'b', 'id', 'level', 'tags', 'value', '', 'key', '"q\\', 'é', 'long key with spaces', 'new',
  'n\n\1' }
local strings = { '', 'x', 'debug', 'a\\nb', '\\u0000', '\\ud834\\udd1e', 'é€', '\\\\', '{}[],:', '\\"',
  ('long '):rep(30), '\\"' .. ('long '):rep(30) }
local numbers = { '0', '-0', '1', '-17', '3.25', '1e3', '-2.5E-3', '9007199254740993', '-9223372036854775808', '0.1',
  '123456789.125', '1e-320', '1.7976931348623157e308', '12345678901234567890.0' }
local spaces = { '', '', '', '', ' ', '\n', '\t ', '\r\n' }

local text

local function scalar()
  local what = random(6)
  if what == 1 then return pick { 'true', 'false', 'null' } end
  if what <= 3 then return '"' .. pick(strings) .. '"' end
  if what == 4 then return ('%.17g'):format((random() - 0.5) * 10 ^ random(-30, 30)) end
  return pick(numbers)
end

local function members(depth, one)
  local parts = {}
  for i = 1, random(0, random(0, 7)) do parts[i] = pick(spaces) .. one(depth) .. pick(spaces) end
  return table.concat(parts, ',')
end

local function element(depth)
  return text(depth + 1)
end

local function member(depth)
  return '"' .. pick(keys) .. '"' .. pick(spaces) .. ':' .. pick(spaces) .. text(depth + 1)
end

function text(depth)
  local what = random(10)
  if depth > 5 or what > 4 + (depth == 0 and 6 or 0) then return scalar() end
  if what <= 2 or depth == 0 and what <= 7 then return '{' .. pick(spaces) .. members(depth, member) .. '}' end
  return '[' .. pick(spaces) .. members(depth, element) .. ']'
end

--- A document.
function made.document()
  return pick(spaces) .. text(0) .. pick(spaces)
end

--- The same with some bytes changed: mostly no JSON any more.
function made.damaged(document)
  for _ = 1, random(2) do
    local at = random(#document + 1)
    local byte = random(3) == 1 and string.char(random(1, 255)) or pick { '"', ',', ':', '{', '}', '[', ']', '\\',
      '0', '', 'e' }
    document = document:sub(1, at - 1) .. byte .. document:sub(at + random(0, 1))
  end
  return document
end

local HOLE = {} -- a deleted element

local function is_container(model)
  return type(model) == 'table' and model ~= HOLE
end

-- A copy as text would make it: without holes.
local function compact(model)
  if not is_container(model) then return model end
  local result = { kind = model.kind }
  if model.kind == 'object' then
    result.map = {}
    for key, value in pairs(model.map) do result.map[key] = compact(value) end
    return result
  end
  result.list, result.n = {}, 0
  for i = 1, model.n do
    if model.list[i] ~= HOLE then
      result.n = result.n + 1
      result.list[result.n] = compact(model.list[i])
    end
  end
  return result
end
made.compact = compact

--- nil, or where two models differ.
function made.difference(a, b, path)
  path = path or '$'
  if not is_container(a) or not is_container(b) then
    return a ~= b and ('%s: %s is not %s'):format(path, tostring(a), tostring(b)) or nil
  end
  if a.kind ~= b.kind or a.n ~= b.n then return path .. ': another kind or length' end
  local left, right = a.map or a.list, b.map or b.list
  for key, value in pairs(left) do
    local problem = made.difference(value, right[key], path .. '.' .. key)
    if problem then return problem end
  end
  for key in pairs(right) do
    if left[key] == nil then return path .. '.' .. key .. ': missing' end
  end
end

-- A new value: for the view, for the model.
local function new_value(root_view, root_model)
  local what = random(9)
  if what == 1 then return null, null end
  if what == 2 then return true, true end
  if what == 3 then local n = random(-1000, 1000) / 8 return n, n end
  if what == 4 then local n = (random() - 0.5) * 10 ^ random(-20, 20) return n, n end
  if what == 5 then local n = ffi.cast('int64_t', -random(2 ^ 30)) * 1000000007LL - 2 ^ 53 return n, n end
  if what == 6 then return { 1, { x = 'y' } },
    { kind = 'array', n = 2, list = { 1, { kind = 'object', map = { x = 'y' } } } } end
  if what == 7 then return json.array {}, { kind = 'array', n = 0, list = {} } end
  if what == 8 and is_container(root_model) then return root_view, compact(root_model) end
  local s = pick { '', 'text', '"\\\n\0', 'é€' }
  return s, s
end

-- A container somewhere in both.
local function descend(view, model)
  while random(3) > 1 do
    local inner = {}
    for key, value in pairs(model.map or model.list) do
      if is_container(value) then inner[#inner + 1] = key end
    end
    if #inner == 0 then break end
    local key = pick(inner)
    view, model = view[key], model.map and model.map[key] or model.list[key]
    assert(json.is_view(view), 'no view of a container')
  end
  return view, model
end

local function check(view, model, key)
  local value = view[key]
  local expected = (model.map or model.list)[key]
  if expected == HOLE then expected = nil end
  if is_container(expected) then
    assert(json.is_view(value), 'a container expected')
  else
    assert(value == expected, ('read %s, expected %s'):format(tostring(value), tostring(expected)))
  end
end

local function edit_object(view, model, root_view, root_model)
  local key = pick(names)
  if random(3) == 1 then
    view[key], model.map[key] = nil, nil
  else
    local mine, theirs = new_value(root_view, root_model)
    view[key], model.map[key] = mine, theirs
  end
  check(view, model, key)
end

local function edit_array(view, model, root_view, root_model)
  if model.n > 0 and random(3) == 1 then
    local i = random(model.n)
    view[i], model.list[i] = nil, HOLE
    check(view, model, i)
    return
  end
  local i = random(model.n + 1)
  local mine, theirs = new_value(root_view, root_model)
  if i > model.n then model.n = i end
  view[i], model.list[i] = mine, theirs
  check(view, model, i)
end

local function walk(view, model)
  local expected, seen = {}, {}
  for key, value in pairs(model.map or model.list) do
    if value ~= HOLE then expected[key] = true end
  end
  for key in json.public.each(view) do
    assert(expected[key] and not seen[key], 'walked over ' .. tostring(key))
    seen[key] = true
  end
  for key in pairs(expected) do assert(seen[key], 'did not walk over ' .. tostring(key)) end
end

--- One random read or edit of both.
function made.step(root_view, root_model)
  local view, model = descend(root_view, root_model)
  local what = random(4)
  if what == 1 then
    check(view, model, model.map and pick(names) or random(model.n + 1))
  elseif what == 2 and random(3) == 1 then
    walk(view, model)
  elseif model.map then
    edit_object(view, model, root_view, root_model)
  else
    edit_array(view, model, root_view, root_model)
  end
end

return made
