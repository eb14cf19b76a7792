-- SPDX-License-Identifier: MIT
-- run/state.lua: the state of a message's key, as a function of tide.keyed sees it. It comes with the message, in the
-- state block (shm/layout.h); what a function makes of it goes into the output block with its results, so that both
-- count or neither. Messages of one key may follow each other in a job: what one of them wrote is kept here until the
-- job ends, and no longer. Start reading at state.open, then state.write.
local ffi = require("ffi")
local bit = require("bit")
local C = require("tidemill.run.ffi").C
local answer = require("tidemill.run.answer")
local check = require("tidemill.run.check")
local json = require("tidemill.run.json")
local result = require("tidemill.run.result")

local cast, copy, to_string = ffi.cast, ffi.copy, ffi.string
local band, bnot = bit.band, bit.bnot
local encode, decode = json.encode, json.module.decode
local place, no_room, add, rewind = result.place, result.no_room, result.add, result.rewind
local bytes_type, double_type = ffi.typeof("const char *"), ffi.typeof("const double *")
local places_type, state_type = ffi.typeof("const uint32_t *"), ffi.typeof("const struct tide_state *")
local result_type, number_type = ffi.typeof("struct tide_result *"), ffi.typeof("double *")
local HEAD, RESULT = ffi.sizeof("struct tide_state"), ffi.sizeof("struct tide_result")
local NONE, STRING, NUMBER, JSON = C.TIDE_STATE_NONE, C.TIDE_STATE_STRING, C.TIDE_STATE_NUMBER, C.TIDE_STATE_JSON
local LONGEST = C.TIDE_STORE_VALUE
local DROP, REJECT, EXPAND = answer.DROP, answer.REJECT, answer.EXPAND

local state = {}

-- In C's memory, as pointers in upvalues would be boxed.
local here = ffi.new "struct { const uint32_t *places; const struct tide_state *state; }"
local first = 0 -- the record of places[0]
-- What this job has made of states, by their number: enum tide_state_kind, and a string, a number or the text of JSON.
local newer_kinds, newer = {}, {}
-- Of the open record: the number of its state; what was written, a kind as above, or nil; the table that the script
-- has, which it may change until it returns, and its text before, nil when it is new; for how many ms, -1 = as the step
-- says.
local number, kind, value, given, given_text, ttl = 0, nil, nil, nil, nil, -1

--- Begins a job (struct tide_job).
function state.begin(job)
  here.places, first = cast(places_type, job.states), job.first
  newer_kinds, newer = {}, {}
end

--- Opens the state of record `index`.
function state.open(index)
  local at = here.places[index - first]
  here.state = cast(state_type, cast(bytes_type, here.places) + 8 * at)
  number, kind, value, given, given_text, ttl = here.state.number, nil, nil, nil, nil, -1
end

-- The kind and the value that the record began with.
local function before()
  local was = newer_kinds[number]
  if was then return was, newer[number] end
  was = here.state.kind
  local bytes = cast(bytes_type, here.state) + HEAD
  if was == NUMBER then return was, cast(double_type, bytes)[0] end
  if was == NONE then return was, nil end
  return was, to_string(bytes, here.state.length)
end

local function get()
  if given then return given end
  local of, what = kind, value
  if not of then of, what = before() end
  if of ~= JSON then return what end
  local decoded, problem = decode(what)
  if decoded == nil then error("the state of this key is no JSON: " .. tostring(problem), 3) end
  if type(decoded) == "table" and not kind then given, given_text = decoded, what end
  return decoded
end

local function set(new)
  given, given_text = nil, nil
  if new == nil then
    kind, value = NONE, nil
  elseif type(new) == "number" and new - new == 0 then
    kind, value = NUMBER, new
  elseif type(new) == "string" then
    kind, value = STRING, new
  elseif type(new) == "table" and getmetatable(new) == nil then
    kind, value, given = JSON, nil, new -- it is written as it is when the function has returned
  else
    kind, value = JSON, (encode(new, 3))
  end
  if value and type(value) == "string" and #value > LONGEST then
    error(("state.value takes %d bytes at most, got %d"):format(LONGEST, #value), 3)
  end
end

local UNITS = { ms = 1, s = 1e3, min = 6e4, h = 36e5, d = 864e5 }

-- state:expire(seconds), or "10min": the value is gone so long after this message.
local function expire(_, time)
  local count, unit = time, "s"
  if type(time) == "string" then
    count, unit = time:match("^([%d.]+)%s*(%a+)$")
    count = tonumber(count)
  end
  local ms = type(count) == "number" and UNITS[unit] and count * UNITS[unit]
  if not ms or not (ms >= 1 and ms < 2 ^ 52) then
    error(('state:expire takes seconds, or a text as "10min" (ms, s, min, h, d), got %s'):format(
      type(time) == "string" and '"' .. time .. '"' or check.shown(time)), 2)
  end
  ttl = math.floor(ms)
end

local function unknown(name)
  error(('state has no field "%s"; it has value and expire'):format(tostring(name)), 3)
end

--- What a function gets as its second argument.
state.object = setmetatable({}, {
  __index = function(_, name)
    if name == "value" then return (get()) end
    if name == "expire" then return expire end
    unknown(name)
  end,
  __newindex = function(_, name, new)
    if name ~= "value" then unknown(name) end
    set(new)
  end,
  __metatable = false,
})

-- Sets kind and value to what is to be written; false when nothing is.
local function changed()
  if given then
    local text = encode(given, 1)
    if kind or text ~= given_text then
      kind, value = JSON, text
      if #text > LONGEST then error(("state.value takes %d bytes at most, got %d"):format(LONGEST, #text), 0) end
    end
  end
  if not kind and ttl >= 0 then
    kind, value = before()
    if kind == NONE then kind = nil end
  end
  return kind ~= nil
end

--- The functions are through with record `index`, and its results are written: writes what became of its state. Returns
--- `outcome`, or what result.no_room says.
function state.write(index, outcome)
  if outcome > DROP and outcome ~= EXPAND or not changed() then return outcome end
  local length = kind == NUMBER and 8 or kind == NONE and 0 or #value
  local size = band(RESULT + length + 7, bnot(7))
  local to, room = place()
  if size > room then
    local no, reason, text = no_room(size)
    if no == REJECT then rewind() end
    return no, reason, text
  end
  local written = cast(result_type, to)
  written.size, written.index, written.kind, written.inherit = size, index, C.TIDE_RESULT_STATE, 0
  written.headers_length, written.timestamp = 0, ttl
  written.value_length, written.key_length = length, -1
  written.topic, written.partition = kind, -1
  if kind == NUMBER then
    cast(number_type, to + RESULT)[0] = value
  elseif length > 0 then
    copy(to + RESULT, value, length)
  end
  add(size)
  return outcome
end

--- The record is published: the next one of its key sees what it wrote. Not to be called for one that is rejected.
function state.keep()
  if kind then newer_kinds[number], newer[number] = kind, value end
end

return state
