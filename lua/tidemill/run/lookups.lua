-- SPDX-License-Identifier: MIT
-- run/lookups.lua: tide.lookup, tables of a file that all workers share (lookup/lookup.h has how). A table that is
-- declared in the pipeline file is read when the zygote begins to load, one of a transform file at once, in the
-- zygote too. What a script holds is a userdata, so that pairs() refuses it in place of showing no rows.
--
--   users["u1"], users(country, id)    a row of its own, a plain table; nil when there is none
--   #users                             the number of rows
--
-- Start reading at lookups.declare and at open_row.
local ffi = require("ffi")
local integer = require("tidemill.run.integer")
local json = require("tidemill.run.json")
local lookup_rows = require("tidemill.run.lookup_rows")
local library = require("tidemill.run.ffi")
local C = library.C

local lookups = {}

local CSV, JSON, MSGPACK = C.TIDE_LOOKUP_CSV, C.TIDE_LOOKUP_JSON, C.TIDE_LOOKUP_MSGPACK
local FORMATS = { csv = CSV, json = JSON, msgpack = MSGPACK }
local BY_ENDING = { csv = CSV, tsv = CSV, jsonl = JSON, ndjson = JSON, json = JSON, msgpack = MSGPACK, mpk = MSGPACK }
local OPTIONS = { by = true, format = true, separator = true }

local find = C.tide_lookup_find
local int64, uint64 = ffi.typeof "int64_t", ffi.typeof "uint64_t"

local owner -- struct tide_lookups * in the zygote and in workers; nil in any other process
local loading = false -- tables may be declared: this is the zygote, before it forks workers
local folder -- of the pipeline, from which paths start
local announce -- takes the name of what begins now
local numbers = {} -- of the tables that are read, by what is read
local states = {} -- of the tables that are read
local loose = setmetatable({}, { __mode = "k" }) -- tables that were declared in no pipeline file, and not in the zygote
local epoch = 0

-- ---- keys ----

-- The text of a key that is no string; nil for null and for what no file has as a key. Raises in the line of the
-- script, which is `level` frames up.
local function key_text(key, level, what)
  if key == nil or key == json.null then return nil end
  if type(key) == "number" then
    if key % 1 ~= 0 then return nil end
    return ("%.0f"):format(key + 0) -- -0 is 0
  end
  if type(key) == "string" then return key end
  local whole = integer.cdata(key) or key
  if ffi.istype(int64, whole) or ffi.istype(uint64, whole) then return (tostring(whole):gsub("U?LL$", "")) end
  local text = integer.text(key)
  if text then return text end
  error(("%s is read by a string or an integer, got a %s"):format(what or "a lookup table", type(key)), level + 1)
end

lookups.key_text = key_text

-- A key of several members, as lookup/lookup.h has it.
local function joined(state, level, ...)
  local count = select("#", ...)
  if count ~= state.key_count then
    error(("this lookup table is read by %d values, got %d"):format(state.key_count, count), level + 1)
  end
  local text = ""
  for i = 1, count do
    local part = key_text((select(i, ...)), level + 1)
    if part == nil then return nil end
    text = i < count and text .. #part .. ":" .. part or text .. part
  end
  return text
end

local function not_there(level)
  error("a lookup table is read in functions and hooks of a transform, when its files are loaded", level + 1)
end

-- ---- what a script holds ----

local function open_row(state, row)
  local function read(key)
    local current = state.current or not_there(3)
    if find(current, key, #key, row) then return state.decode(row) end
    return nil
  end
  local function index(_, key)
    if state.key_count > 1 then
      error(("this lookup table has a key of %d members: write users(a, b) in place of users[a]"):format(
        state.key_count), 2)
    end
    if type(key) ~= "string" then key = key_text(key, 2) end
    if key == nil then return nil end
    return (read(key))
  end
  local function call(_, ...)
    if state.key_count == 2 then
      local a, b, more = ...
      if type(a) == "string" and type(b) == "string" and more == nil then return (read(#a .. ":" .. a .. b)) end
    end
    local key = joined(state, 2, ...)
    if key == nil then return nil end
    return (read(key))
  end
  return index, call
end

local function new_handle(state)
  local handle = newproxy(true)
  local mark = getmetatable(handle)
  mark.__index, mark.__call = open_row(state, ffi.new "struct tide_lookup_row")
  mark.__len = function()
    return tonumber((state.current or not_there(2)).rows)
  end
  mark.__newindex = function() error("a lookup table is not to be changed; its file is", 2) end
  mark.__tostring = function() return "tide.lookup " .. state.path end
  mark.__metatable = "a lookup table"
  return handle
end

-- ---- declarations ----

local function check_by(by, format, fail)
  if by == nil and format ~= CSV then
    fail('says which member is the key: tide.lookup { "users.jsonl", by = "id" }')
  end
  if by == nil then return {} end
  local keys = type(by) == "table" and by or { by }
  if #keys == 0 or #keys > C.TIDE_LOOKUP_KEYS then fail(("by has 1 to %d names"):format(C.TIDE_LOOKUP_KEYS)) end
  for i = 1, #keys do
    if type(keys[i]) ~= "string" or keys[i]:find "%z" then
      fail 'by is a name, or a list of names, as { "country", "id" }'
    end
  end
  return keys
end

local function check_format(options, fail)
  local path = options[1]
  local ending = path:lower():match "%.([%w]+)$"
  local format = BY_ENDING[ending]
  if options.format ~= nil then format = FORMATS[options.format] end
  if not format then
    fail(options.format ~= nil and 'format is "csv", "json" or "msgpack"'
      or 'the name of the file does not tell its format: add format = "csv", "json" or "msgpack"')
  end
  local separator = options.separator or (ending == "tsv" and "\t" or ",")
  if type(separator) ~= "string" or #separator ~= 1 or separator:find '[%z\r\n"]' then
    fail "separator is one byte, and no quote or line break"
  end
  if options.separator and format ~= CSV then fail "separator is for CSV alone" end
  return format, separator:byte()
end

-- `options` as a checked state; `fail` takes what is wrong.
local function checked(options, fail)
  if type(options) == "string" then options = { options } end
  if type(options) ~= "table" or type(options[1]) ~= "string" or options[1] == "" or options[1]:find "%z" then
    fail 'takes the path of a file, as tide.lookup "users.csv" or tide.lookup { "users.csv", by = "id" }'
  end
  for name in pairs(options) do
    if name ~= 1 and not OPTIONS[name] then
      fail(("has no option %s; it has by, format, separator"):format(tostring(name)))
    end
  end
  local format, separator = check_format(options, fail)
  local keys = check_by(options.by, format, fail)
  return { path = options[1], format = format, separator = separator, keys = keys, key_count = math.max(1, #keys) }
end

-- Reads a table, unless another declaration has.
local function read(state)
  local path = state.path:sub(1, 1) ~= "/" and folder ~= "." and folder .. "/" .. state.path or state.path
  local identity = table.concat({ path, state.format, state.separator, unpack(state.keys) }, "\0")
  if not numbers[identity] then
    announce("tide.lookup " .. path)
    local source = ffi.new("struct tide_lookup_source")
    source.name, source.path, source.format, source.separator = path, path, state.format, state.separator
    source.key_count = #state.keys
    for i, key in ipairs(state.keys) do source.keys[i - 1] = key end
    local number = C.tide_lookups_load(owner, source)
    if number < 0 then error(library.error(), 0) end
    numbers[identity] = number
  end
  state.number = numbers[identity]
  states[#states + 1] = state
end

-- Takes the versions that are current.
local function take(state)
  state.current = C.tide_lookups_table(owner, state.number)
  state.decode = lookup_rows.decoder(state.current, state.format == MSGPACK)
end

--- What tide.lookup returns. `fail` raises, or notes, what is wrong with the options; `gather` (optional) takes what is
--- declared in a pipeline file, to be read later.
function lookups.declare(options, fail, gather)
  local state = checked(options, fail)
  local handle = new_handle(state)
  if gather then
    gather(state)
  elseif loading then
    read(state)
    take(state)
  elseif owner then
    fail "stands at the top of a file, or in init: workers share what was read before they are forked"
  else
    loose[handle] = state
  end
  return handle
end

-- ---- the life of a process ----

--- In the zygote, before user code is loaded: reads the tables of the pipeline file. `of`: struct tide_lookups *.
function lookups.begin_loading(of, declared, from, announcing)
  owner, loading, folder, announce = of, true, from, announcing
  for _, state in ipairs(declared) do read(state) end
  for _, state in pairs(loose) do read(state) end
  for _, state in ipairs(states) do take(state) end
end

--- In the zygote: no more tables.
function lookups.end_loading()
  loading = false
end

--- In a spec: this process has no tables any more.
function lookups.forget()
  owner, loading, epoch, numbers, states = nil, false, 0, {}, {}
end

--- In a worker: a job or a hook begins. To its end the tables stay as they are.
function lookups.begin()
  local now = C.tide_lookups_epoch(owner)
  if now == epoch then return end
  epoch = now
  for _, state in ipairs(states) do take(state) end
end

return lookups
