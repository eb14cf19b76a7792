-- SPDX-License-Identifier: MIT
-- run/tables.lua: tide.table "NAME", tables of topics that all workers share (table/table.h has how). What a script
-- holds is a userdata, so that pairs() refuses it in place of showing no rows.
--
--   users["u1"]   a JSON view of the value, as message.json is one (or the value's bytes); nil when there is no row
--   #users        the number of rows
--
-- Within a message the rows do not change; the next message sees those of its own beginning. Start reading at
-- new_handle.
local ffi = require("ffi")
local json = require("tidemill.run.json")
local lookups = require("tidemill.run.lookups")
local message = require("tidemill.run.message")
local C = require("tidemill.run.ffi").C

local tables = {}

local find, refresh, to_string = C.tide_table_find, C.tide_tables_refresh, ffi.string
local key_text = lookups.key_text

local owner -- struct tide_tables * in the zygote and in workers; nil in any other process, or without tables
local declared -- in them: what the plan says of each, by name, and an array of the names
local reading = false -- a job runs: the tables are as of a moment
local moment = 0 -- the message that they were last made those of

local function names_text()
  if not declared or #declared == 0 then return "it declares none" end
  return "it declares " .. table.concat(declared, ", ")
end

local function unknown(name)
  return ('tide.table "%s": the pipeline file declares no such table; %s'):format(name, names_text())
end

-- Finds out which table it is, when it is read for the first time.
local function attach(state)
  if not reading then
    error("a table is read for a message: in a function of a transform, or in its hook close", 4)
  end
  if not (declared and declared[state.name]) then error(unknown(state.name), 4) end
  state.number = C.tide_tables_number(owner, state.name)
  state.json = declared[state.name].json
end

local function read(state, row, key)
  if not (reading and state.number) then attach(state) end
  local now = message.moment()
  if now ~= moment then
    refresh(owner)
    moment = now
  end
  if not find(owner, state.number, key, #key, row) then return nil end
  if not state.json then return (to_string(row.value, row.size)) end
  message.keeps_document()
  local value, problem = json.open_shared(row.value, tonumber(row.size))
  if problem then
    error(('table "%s": the value of the key "%s" is not JSON: %s'):format(state.name, key, problem), 3)
  end
  return value
end

local function new_handle(state, declare)
  local handle = newproxy(true)
  local mark, row = getmetatable(handle), ffi.new "struct tide_table_row"
  mark.__index = function(_, key)
    if type(key) ~= "string" then key = key_text(key, 2, "a table") end
    if key == nil then return nil end
    return (read(state, row, key))
  end
  mark.__len = function()
    if not (reading and state.number) then attach(state) end
    return tonumber(C.tide_table_rows(owner, state.number))
  end
  mark.__call = function(_, options)
    declare(options)
    return handle
  end
  mark.__newindex = function() error("a table is not to be changed; its topic is", 2) end
  mark.__tostring = function() return "tide.table " .. state.name end
  mark.__metatable = "a table"
  return handle
end

--- What tide.table "NAME" returns; called with options it calls `declare` with them. Raises when this process knows
--- that there is no such table.
function tables.handle(name, declare)
  if declared and not declared[name] then error(unknown(name), 3) end
  return (new_handle({ name = name }, declare))
end

-- ---- the life of a process ----

--- In the zygote, before user code is loaded. `of`: struct tide_tables *, NULL without tables; `list`: of the plan.
function tables.begin_loading(of, list)
  declared = {}
  for i, item in ipairs(list or {}) do
    declared[i], declared[item.name] = item.name, item
  end
  if of ~= nil then owner = of end
end

--- In a worker: a job or the hook `close` begins.
function tables.begin()
  if not owner then return end
  refresh(owner)
  reading, moment = true, 0
end

function tables.done()
  if not owner then return end
  reading = false
  C.tide_tables_end(owner)
end

--- In a spec: this process has no tables any more.
function tables.forget()
  owner, declared, reading = nil, nil, false
end

return tables
