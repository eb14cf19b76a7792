-- SPDX-License-Identifier: MIT
-- The part of `limits` that needs no Kafka: the JSON view job by phase, and what Lua itself takes to make and to walk
-- the tables of a document (scripts/bench/floor.c). A function of rounds and runs, in ns of processor time a message:
--   { view = { { title, ns } ... }, view_ns, identity_ns, cjson_ns, bytes,
--     documents = { { name, bytes, decode, decode_cjson, made, encode, encode_cjson, walked } ... },
--     different = { count, tables, cjson, view, made } }, of which the first three are whole jobs
local block = require "spec.support.block"
local cjson = require "cjson"
local documents_of = require "scripts.bench.json_documents"
local ffi = require "ffi"
local jobs = require "scripts.bench.jobs"
local json = require("tidemill.run.json").public
local race_of = require "scripts.bench.race"
local C = require("tidemill.run.ffi").C

local EVENTS, DIFFERENT = 1000, 50000
local DEBUG = ("d"):byte()

local function events(count)
  local lines, size = {}, 0
  local pipe = assert(io.popen(("luajit scripts/bench/make_events.lua %d 2>/dev/null"):format(count)))
  for line in pipe:lines() do lines[#lines + 1], size = line, size + #line end
  pipe:close()
  return lines, size / count
end

-- What the view job has engine/json do with each message, up to the phase with this number. A function of its own for
-- each phase, since LuaJIT compiles a loop for what it sees in it first.
local PHASES = { "copied by memcpy", "indexed and checked", "two fields read", "three fields changed", "text written" }
local SOURCE = [[
local C, ffi, J, lines, to, room, DEBUG, phase = ...
local copy, NONE, TRUE, WHOLE = ffi.copy, C.TIDE_JSON_NONE, C.TIDE_JSON_TRUE, C.TIDE_JSON_WHOLE
local function run(text)
  if phase == 1 then return copy(to, text, #text) end
  C.tide_json_reset(J)
  C.tide_json_open(J, text, #text)
  if phase == 2 then return end
  local root = J.root
  C.tide_json_get(root, 0, "level", 5)
  if J.bytes[0] == DEBUG then return end
  C.tide_json_get(root, 0, "value", 5)
  if phase == 3 then return end
  C.tide_json_set_double(root, 0, "v", 1, J.number * 2)
  C.tide_json_set_kind(root, 0, "value", 5, NONE)
  C.tide_json_set_kind(root, 0, "seen", 4, TRUE)
  if phase == 4 then return end
  return (C.tide_json_write(root, WHOLE, to, room))
end
return function() for i = 1, #lines do run(lines[i]) end end
]]

local function phase_loops(lines)
  local loops, J, room = {}, C.tide_json_new(), 65536
  local to = ffi.new("char[?]", room)
  for phase = 1, #PHASES do
    loops[phase] = assert(loadstring(SOURCE))(C, ffi, J, lines, to, room, DEBUG, phase)
  end
  return loops
end

local function measure_view(lines, options)
  local loops, input = phase_loops(lines), block.new(lines)
  for _, name in ipairs { "view", "identity", "cjson" } do
    local loop = block.loop(jobs[name])
    loops[#loops + 1] = function() input:run(loop) end
  end
  local times, rows = race_of(loops, options), {}
  for phase, title in ipairs(PHASES) do
    rows[phase] = { title = title, ns = times[phase] - (phase > 2 and times[phase - 1] or 0) }
  end
  local view, identity, cjson_ns = times[#PHASES + 1], times[#PHASES + 2], times[#PHASES + 3]
  rows[#rows + 1] = { title = "record in, result out (identity)", ns = identity }
  rows[#rows + 1] = { title = "the rest: views and strings of Lua", ns = view - identity - times[#PHASES] }
  return { view = rows, view_ns = view, identity_ns = identity, cjson_ns = cjson_ns }
end

-- A function that makes the table of its values, in the order in which pairs gives them.
local constructors = {}
local function constructor_of(table_)
  local values, members = {}, {}
  for name in pairs(table_) do
    values[#values + 1] = "v" .. #values
    members[#members + 1] = ("[%q]=%s"):format(name, values[#values])
  end
  local text = ("return function(%s) return {%s} end"):format(table.concat(values, ","), table.concat(members, ","))
  if not constructors[text] then
    constructors[text] = assert(loadstring(text))()
    jit.off(constructors[text])
  end
  return constructors[text]
end

local function all(fn, list)
  local loop = assert(loadstring "local fn, list = ... return function() for i = 1, #list do fn(list[i]) end end")
  return loop(fn, list)
end

local function measure_document(floor, kind, options)
  local tables_of, cjson_of, size = {}, {}, 0
  for i, text in ipairs(kind.texts) do
    tables_of[i], cjson_of[i], size = json.table(text), cjson.decode(text), size + #text
  end
  floor.prepare(cjson_of, {}, constructor_of)
  local times = race_of({ all(json.table, kind.texts), all(cjson.decode, kind.texts),
    function() floor.make(false) end, function() floor.make(true) end,
    all(json.encode, tables_of), all(cjson.encode, cjson_of), all(floor.walk, cjson_of) }, options)
  return { name = kind.name, bytes = size / #kind.texts, decode = times[1], decode_cjson = times[2],
    made = math.min(times[3], times[4]), encode = times[5], encode_cjson = times[6], walked = times[7] }
end

-- The whole jobs over events that are all different, as those of a topic are: their strings are new to Lua, and what
-- was made of one is garbage before the next ones come. The events lie outside of Lua's memory, as in a worker.
local function measure_different(floor, runs)
  local lines, loops = events(DIFFERENT), {}
  local input, tables_of = block.new(lines), {}
  for i, line in ipairs(lines) do tables_of[i] = cjson.decode(line) end
  floor.prepare(tables_of, {}, constructor_of)
  for i, name in ipairs { "tables", "cjson", "view" } do
    local loop = block.loop(jobs[name])
    loops[i] = function() input:run(loop) end
  end
  loops[4], loops[5] = function() floor.make(false) end, function() floor.make(true) end
  lines, tables_of = nil, nil -- luacheck: ignore
  collectgarbage()
  local times = race_of(loops, { rounds = 1, runs = runs, messages = DIFFERENT })
  local made = math.min(times[4], times[5])
  return { count = DIFFERENT, tables = times[1], cjson = times[2], view = times[3], made = made }
end

return function(rounds, runs)
  require("jit.opt").start("maxmcode=8192", "sizemcode=256", "maxtrace=4000", "maxrecord=16000", "maxirconst=4000")
  local floor = assert(package.loadlib("build/bench/floor.so", "luaopen_bench_floor"))()
  local options = { rounds = rounds, runs = runs, messages = EVENTS }
  local lines, bytes = events(EVENTS)
  local result = measure_view(lines, options)
  result.bytes, result.documents = bytes, {}
  local kinds = documents_of(EVENTS)
  table.insert(kinds, 1, { name = "event of the job", texts = lines })
  for i, kind in ipairs(kinds) do result.documents[i] = measure_document(floor, kind, options) end
  result.different = measure_different(floor, runs)
  return result
end
