-- SPDX-License-Identifier: MIT
-- run/state.lua: the states of a message's key, as a function of tide.keyed sees them. They come with the message, in
-- the state block (shm/layout.h); what a function makes of them goes into the output block with its results, so that
-- both count or neither. Messages of one key may follow each other in a job: what one of them wrote is kept here until
-- the job ends, and no longer. A slot is one state of a step, with what the open record has made of it. The first state
-- of a step may have timers: one for each key, which is part of the value. Start reading at state.open, then
-- state.write.
local ffi = require("ffi")
local bit = require("bit")
local C = require("tidemill.run.ffi").C
local answer = require("tidemill.run.answer")
local check = require("tidemill.run.check")
local double_at = require("tidemill.run.number").double_at
local json = require("tidemill.run.json")
local marks = require("tidemill.run.marks")
local result = require("tidemill.run.result")

local cast, copy, to_string = ffi.cast, ffi.copy, ffi.string
local band, bnot = bit.band, bit.bnot
local encode, written, decode = json.encode, json.written, json.module.decode
local place, no_room, add, rewind = result.place, result.no_room, result.add, result.rewind
local bytes_type = ffi.typeof("const char *")
local places_type, state_type = ffi.typeof("const struct tide_state_place *"), ffi.typeof("const struct tide_state *")
local result_type, number_type = ffi.typeof("struct tide_result *"), ffi.typeof("double *")
local time_type, written_time = ffi.typeof("const int64_t *"), ffi.typeof("int64_t *")
local HEAD, RESULT = ffi.sizeof("struct tide_state"), ffi.sizeof("struct tide_result")
local NONE, STRING, NUMBER, JSON = C.TIDE_STATE_NONE, C.TIDE_STATE_STRING, C.TIDE_STATE_NUMBER, C.TIDE_STATE_JSON
local TIMED, TIMER_BYTES, TIMER, AHEAD = C.TIDE_STATE_TIMED, C.TIDE_STORE_TIMER, C.TIDE_MESSAGE_TIMER,
  C.TIDE_STATE_AHEAD
local LONGEST, LATEST = C.TIDE_STORE_VALUE, 2 ^ 53
local DROP, REJECT, EXPAND = answer.DROP, answer.REJECT, answer.EXPAND

local state = {}

-- In C's memory, as pointers in upvalues would be boxed.
local here = ffi.new("struct { const struct tide_state_place *places; const struct tide_state *states["
  .. C.TIDE_STATES_MOST .. "]; }")
local first, count = 0, 1 -- the record of places[0], and how many places a record has
-- What this job has made of states, by their number: enum tide_state_kind; a string, a number or the text of JSON; the
-- time of the timer, 0 = none.
local newer_kinds, newer, newer_timers = {}, {}, {}
local timer_of = false -- the number of the state whose timer the open record is

-- A slot: `index` of the state among those of the step, from 0, and its `name`. Of the open record: `number` of the
-- state in the block; `kind` and `value` are what was written, as above, or nil; `given` is the table that the script
-- has, which it may change until it returns, and `given_text` its text before, nil when it is new; `ttl`: for how many
-- ms, -1 = as the step says; `timer`: the time that was set, 0 = none, false = it stays; `fired`: the time of the timer
-- for which the function is called, or 0; `at`: its place among here.places. `timed`: the step reads times.
local function new_slot(index, name, timed)
  return { index = index, name = name, number = 0, kind = false, value = false, given = false, given_text = false,
    ttl = -1, timer = false, fired = 0, at = 0, timed = timed }
end

--- Begins a job (struct tide_job) of a step with so many states.
function state.begin(job, states)
  here.places, first, count = cast(places_type, job.states), job.first, states
  newer_kinds, newer, newer_timers, timer_of = {}, {}, {}, false
end

--- Opens a state of record `index`.
function state.open(slot, index)
  local at = (index - first) * count + slot.index
  local opened = cast(state_type, cast(bytes_type, here.places) + 8 * here.places[at].at)
  here.states[slot.index] = opened
  slot.number, slot.kind, slot.given, slot.ttl = opened.number, false, false, -1
  slot.timer, slot.fired, slot.at = false, 0, at
end

-- The time of the timer that the record began with, 0 = none.
local function timer_before(slot)
  local was = newer_timers[slot.number]
  if was then return was end
  local opened = here.states[slot.index]
  if band(opened.kind, TIMED) == 0 then return 0 end
  return tonumber(cast(time_type, cast(bytes_type, opened) + HEAD)[0])
end

--- Opens the timer that the open record may be, of the first slot: it is over then. False when the key has another one
--- by now, so that nothing is to be done.
function state.open_timer(slot, record)
  timer_of = false
  if band(record.message_flags, TIMER) == 0 or record.flags ~= 0 then return true end
  local at = tonumber(record.timestamp)
  if timer_before(slot) ~= at then return false end
  slot.timer, slot.fired, timer_of = 0, at, slot.number
  return true
end

--- The open record is rejected, or its function has raised an error: the timer that it may be is over. The engine knows
--- it when the record is released; a message of the key that is run behind it in this job must not write it again.
function state.reject_timer()
  if timer_of then newer_timers[timer_of], timer_of = 0, false end
end

-- The kind and the value that the record began with.
local function before(slot)
  local number = slot.number
  local was = newer_kinds[number]
  if was then return was, newer[number] end
  local opened = here.states[slot.index]
  local bytes, length = cast(bytes_type, opened) + HEAD, opened.length
  was = opened.kind
  if band(was, TIMED) ~= 0 then was, bytes, length = was - TIMED, bytes + TIMER_BYTES, length - TIMER_BYTES end
  if was == NUMBER then return was, double_at(bytes) end
  if was == NONE then return was, nil end
  return was, to_string(bytes, length)
end

local function get(slot)
  if slot.given then return slot.given end
  local of, what = slot.kind, slot.value
  if not of then of, what = before(slot) end
  if of ~= JSON then return what end
  local decoded, problem = decode(what)
  if decoded == nil then error("the state of this key is no JSON: " .. tostring(problem), 3) end
  if type(decoded) == "table" then slot.given, slot.given_text = decoded, what end
  return decoded
end

local function set(slot, new)
  local kind, value
  slot.given, slot.given_text = false, false
  if new == nil then
    kind = NONE
  elseif type(new) == "number" and new - new == 0 then
    kind, value = NUMBER, new
  elseif type(new) == "string" then
    kind, value = STRING, new
  elseif type(new) == "table" and (getmetatable(new) == nil or getmetatable(new) == marks.array) then
    kind, slot.given = JSON, new -- it is written as it is when the function has returned
  else
    kind, value = JSON, (encode(new, 3))
  end
  if value and type(value) == "string" and #value > LONGEST then
    error(("state.value takes %d bytes at most, got %d"):format(LONGEST, #value), 3)
  end
  slot.kind, slot.value = kind, value
end

local UNITS = { ms = 1, s = 1e3, min = 6e4, h = 36e5, d = 864e5 }
local slots = {} -- by the object that a function has

-- state:expire(seconds), or "10min": the value is gone so long after this message.
local function expire(object, time)
  local amount, unit = time, "s"
  if type(time) == "string" then
    amount, unit = time:match("^([%d.]+)%s*(%a+)$")
    amount = tonumber(amount)
  end
  local ms = type(amount) == "number" and UNITS[unit] and amount * UNITS[unit]
  if not ms or not (ms >= 1 and ms < 2 ^ 52) then
    error(('state:expire takes seconds, or a text as "10min" (ms, s, min, h, d), got %s'):format(
      type(time) == "string" and '"' .. time .. '"' or type(time) == "number" and tostring(time)
      or check.shown(time)), 2)
  end
  local slot = slots[object]
  if not slot then error('state:expire is called with a colon, as state:expire("10min")', 2) end
  slot.ttl = math.floor(ms)
end

-- state:timer(time): the function is called again, with message.timer, when the watermark has passed this time (ms
-- since the epoch). A key has one timer; nil takes it back.
local function set_timer(object, time)
  local slot = slots[object]
  if not slot then error("state:timer is called with a colon, as state:timer(time)", 2) end
  if not slot.timed then error("state:timer needs the option time of tide.keyed", 2) end
  if slot.index > 0 then error("state:timer: timers are those of the first state of the step", 2) end
  local at = type(time) == "cdata" and tonumber(time) or time
  if at == nil then
    slot.timer = 0
    return
  end
  if type(at) ~= "number" or not (at >= 1 and at < LATEST) then
    error("state:timer takes a time in ms since the epoch, or nil, got " .. check.shown(time), 2)
  end
  at = math.floor(at)
  if at <= slot.fired then
    error(("state:timer takes a time after that of the timer that is due (%d), got %d"):format(slot.fired, at), 2)
  end
  slot.timer = at
end

-- The fields that a function can read beside the value, by the slot.
local fields = {
  watermark = function(slot)
    local watermark = tonumber(here.places[slot.at].watermark)
    return watermark > -LATEST and watermark or nil
  end,
  ahead = function(slot) return band(here.places[slot.at].flags, AHEAD) ~= 0 end,
  key = function(slot)
    local opened = here.states[slot.index]
    return (to_string(cast(bytes_type, opened) + HEAD + opened.length, opened.key_length))
  end,
}

local function unknown(name)
  error(('state has no field "%s"; it has value, expire, timer, key, watermark, ahead'):format(tostring(name)), 3)
end

local one = {
  __index = function(object, name)
    if name == "value" then return (get(slots[object])) end
    if name == "expire" then return expire end
    if name == "timer" then return set_timer end
    if fields[name] then return (fields[name](slots[object])) end
    unknown(name)
  end,
  __newindex = function(object, name, new)
    if name ~= "value" then unknown(name) end
    set(slots[object], new)
  end,
  __metatable = false,
}

local function new_object(slot)
  local object = setmetatable({}, one)
  slots[object] = slot
  return object
end

-- An object for each name.
local function new_objects(list)
  local objects, names = {}, {}
  for i, slot in ipairs(list) do objects[slot.name], names[i] = new_object(slot), "state." .. slot.name .. ".value" end
  local function refuse(_, name)
    error(('state has no field "%s"; this step has several: %s'):format(tostring(name), table.concat(names, ", ")), 2)
  end
  return setmetatable({}, {
    __index = function(_, name) return objects[name] or refuse(nil, name) end,
    __newindex = function(_, name)
      if not objects[name] then refuse(nil, name) end
      error(("state.%s is assigned to by its value: state.%s.value = ..."):format(name, name), 2)
    end,
    __metatable = false,
  })
end

--- The states of a step, by their names: an array of slots, with `object` = what its functions get as their second
--- argument. `timed`: the step reads times.
function state.new(names, timed)
  local list = {}
  for i, name in ipairs(names) do list[i] = new_slot(i - 1, name, timed) end
  list.object = #list == 1 and new_object(list[1]) or new_objects(list)
  return list
end

-- Sets kind and value to what is to be written; false when nothing is.
local function changed(slot)
  if slot.given then
    local text, problem = written(slot.given)
    if not text then error(('the state "%s": %s'):format(slot.name, problem), 0) end
    if slot.kind or text ~= slot.given_text then
      slot.kind, slot.value = JSON, text
      if #text > LONGEST then
        error(('the state "%s" takes %d bytes at most, got %d'):format(slot.name, LONGEST, #text), 0)
      end
    end
  end
  if not slot.kind and (slot.ttl >= 0 or slot.timer) then
    local kind, value = before(slot)
    if kind ~= NONE or slot.timer then slot.kind, slot.value = kind, value end
  end
  return slot.kind
end

--- The functions are through with record `index`, and its results are written: writes what became of a state. Returns
--- `outcome`, or what result.no_room says.
function state.write(slot, index, outcome)
  if outcome > DROP and outcome ~= EXPAND then return outcome end
  local kind = changed(slot)
  if not kind then return outcome end
  local value, timer = slot.value, slot.timer or timer_before(slot)
  local skipped = timer > 0 and TIMER_BYTES or 0
  local length = skipped + (kind == NUMBER and 8 or kind == NONE and 0 or #value)
  local size = band(RESULT + length + 7, bnot(7))
  local to, room = place()
  if size > room then
    local no, reason, text = no_room(size)
    if no == REJECT then rewind() end
    return no, reason, text
  end
  local record = cast(result_type, to)
  record.size, record.index, record.kind, record.inherit = size, index, C.TIDE_RESULT_STATE, 0
  record.headers_length, record.timestamp = 0, slot.ttl
  record.value_length, record.key_length = length, -1
  record.topic, record.partition = timer > 0 and kind + TIMED or kind, slot.index
  if timer > 0 then cast(written_time, to + RESULT)[0] = timer end
  if kind == NUMBER then
    cast(number_type, to + RESULT + skipped)[0] = value
  elseif length > skipped then
    copy(to + RESULT + skipped, value, length - skipped)
  end
  add(size)
  return outcome
end

--- The record is published: the next one of its key sees what it wrote. Not to be called for one that is rejected.
function state.keep(slot)
  local kind = slot.kind
  if not kind then return end
  newer_kinds[slot.number], newer[slot.number] = kind, slot.value
  if slot.timer then newer_timers[slot.number] = slot.timer end
end

return state
