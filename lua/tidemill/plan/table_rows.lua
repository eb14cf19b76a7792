-- SPDX-License-Identifier: MIT
-- plan/table_rows.lua: tables whose rows are given in place of a topic: by a test, or by a file (--table users=FILE) of
-- lines as `tidemill record` writes them. Start reading at table_rows.giver.
local base64 = require("tidemill.lib.base64")
local exit_code = require("tidemill.plan.exit_code")
local json = require("tidemill.run.json")
local units = require("tidemill.plan.units")

local table_rows = {}

local null = json.null

--- Makes the plan table's tables some whose rows are given. given: by name a path, or a table of values by key; names
--- that the pipeline does not have are added where `add` says so.
function table_rows.replace(result, given, add)
  local known = {}
  for _, item in ipairs(result.topic_tables) do
    known[item.name] = true
    item.topic = nil
  end
  if not add then return end
  local names = {}
  for name in pairs(given or {}) do
    if not known[name] then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    table.insert(result.topic_tables, { name = name, json = true, max_bytes = units.size "256MiB", wait_us = 0 })
  end
end

--- Returns the texts of what is wrong: tables of topics that nobody can read, as no brokers are known; files for tables
--- that there are not. given: as table_rows.replace.
function table_rows.faults(planned, given)
  local texts, known = {}, {}
  for _, item in ipairs(planned.tables.topic_tables) do
    known[item.name] = true
    if not item.topic and not (given and given[item.name]) then
      texts[#texts + 1] = ('%s: table "%s": its topic is not read without kafka_source; give its rows as '
        .. "--table %s=FILE"):format(planned.file, item.name, item.name)
    end
  end
  for name in pairs(given or {}) do
    if not known[name] then
      texts[#texts + 1] = ('--table %s: the pipeline has no such table; declare it by tide.table "%s" { ... }'):format(
        name, name)
    end
  end
  table.sort(texts)
  return texts
end

--- Why a command that has no --table and takes its messages from a file cannot run this plan; nil: it can.
function table_rows.refusal(planned)
  local first = planned.tables.topic_tables[1]
  return first and ('%s: table "%s": this command has no rows for it in place of its topic; let it run on Kafka')
    :format(planned.file, first.name) or nil
end

-- The bytes of a field of a line: a string is the bytes, what is in base64 too, and anything else is JSON.
local function field(object, name)
  local encoded, value = object[name .. "_base64"], object[name]
  if type(encoded) == "string" then
    local bytes, problem = base64.decode(encoded)
    return bytes or error(name .. "_base64: " .. problem, 0)
  end
  if value == null then return nil end
  if value == nil or type(value) == "string" then return value end
  return json.encode(value, 0)
end

local function row_of(line)
  local object, problem = json.open_shared(line, #line)
  if problem then error("is not JSON: " .. problem, 0) end
  if json.public.type(object) ~= "object" then error('is no object as {"key": "u1", "value": { ... }}', 0) end
  local key, value = field(object, "key"), field(object, "value")
  if key == nil then error('has no "key"', 0) end
  return key, value
end

-- Returns true, or nil, the text and the exit code.
local function give_file(put, number, name, path)
  local file, reason = io.stdin, nil
  if path ~= "-" then file, reason = io.open(path) end
  if not file then return nil, ("--table %s: %s"):format(name, reason), exit_code.NO_INPUT end
  local count = 0
  for line in file:lines() do
    count = count + 1
    if line:find "%S" then
      local done, key, value = pcall(row_of, line)
      json.reset()
      if not done then
        return nil, ("--table %s: %s:%d: %s"):format(name, path, count, tostring(key)), exit_code.DATA
      end
      local given, text, status = put(number, key, value)
      if not given then return nil, text, -status end
    end
  end
  file:close()
  return true
end

--- The bytes of a value that a test gives a table.
function table_rows.value(item, value)
  if value == nil then return nil end
  if item.json then return (json.encode(value, 0)) end
  return value
end

--- Returns a function that gives all rows: give(put) -> true, or nil, text, exit code. put(number, key, value) -> the
--- same with a status.
function table_rows.giver(result, given)
  if not given or not next(given) then return nil end
  return function(put)
    for i, item in ipairs(result.topic_tables) do
      local rows = given[item.name]
      if type(rows) == "string" then
        local done, text, code = give_file(put, i - 1, item.name, rows)
        if not done then return nil, text, code end
      end
      for key, value in pairs(type(rows) == "table" and rows or {}) do
        local done, text, status = put(i - 1, tostring(key), table_rows.value(item, value))
        if not done then return nil, text, -status end
      end
    end
    return true
  end
end

return table_rows
