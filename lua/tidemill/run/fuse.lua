-- SPDX-License-Identifier: MIT
-- run/fuse.lua: makes one loop over a block of one or more functions. The text of the loop is written out for their
-- number and then compiled, since LuaJIT compiles a chain of named calls together with the user's code as one trace,
-- which it does not do for a call through an array. Start reading at `body`.
local ffi = require("ffi")
local answer = require("tidemill.run.answer")
local many = require("tidemill.run.many")
local message = require("tidemill.run.message")
local result = require("tidemill.run.result")
local state = require("tidemill.run.state")

local fuse = {}

local body = [[
local functions, message, result, answer, ffi, take, state, slots = ...
local open, emit, reject, retry, publish = message.open, message.emit, result.reject, result.retry, result.publish
local EMIT, DROP, REJECT, RETRY, FULL = answer.EMIT, answer.DROP, answer.REJECT, answer.RETRY, answer.FULL
local EXPAND = answer.EXPAND
local record_type, bytes_type = ffi.typeof "const struct tide_record *", ffi.typeof "const char *"
%s
-- Records [index, last) from `record` on. True when all are done, false when the block is full; after an error the
-- published progress says which record it was.
return function(record, index, last)%s
  for i = index, last - 1 do
    local m = open(record)%s
    local outcome, detail, text = record.flags == 0%s and EMIT or DROP, nil, nil
%s
    if outcome == EMIT then outcome, detail, text = emit(i) end%s%s
    if outcome == REJECT then outcome = reject(i, detail, text) end
    if outcome == RETRY then outcome = retry(i, text) end
    if outcome == FULL then return false end
    publish(i + 1)%s
    record = ffi.cast(record_type, ffi.cast(bytes_type, record) + record.size)
  end
  return true
end
]]

-- What stands for one function.
local call = [[
    if outcome == EMIT then
      local returned = f%d(m%s)
      if not rawequal(returned, m) then outcome, detail, text = take(returned, %d, i) end
    end]]

-- What the loop does besides where functions have states (run/state.lua), once and for each of them. What one of them
-- has no room for is written with none.
local names_of_state = "local object = slots.object\n"
  .. "local state_open, state_write, state_keep = state.open, state.write, state.keep\n"
  .. "local open_timer, reject_timer = state.open_timer, state.reject_timer\n"
local of_slot = {
  names = "local slot%d = slots[%d]\n",
  open = "\n    state_open(slot%d, i)",
  write = "\n    if outcome == EMIT or outcome == DROP or outcome == EXPAND then"
    .. "\n      local written, reason, why = state_write(slot%d, i, outcome)"
    .. "\n      if written ~= outcome then outcome, detail, text = written, reason, why end"
    .. "\n    end",
  keep = "\n    if outcome ~= REJECT and outcome ~= RETRY then state_keep(slot%d) end",
}

-- The texts of of_slot for so many states.
local function with_slots(states)
  local more = { names = states > 0 and names_of_state or "", open = "", write = "", keep = "" }
  for name, text in pairs(of_slot) do
    for i = 1, states do more[name] = more[name] .. text:gsub("%%d", i) end
  end
  if states > 0 then more.open = more.open .. "\n    local is_due = open_timer(slot1, record)" end
  more.enter = states > 0 and "\n  reject_timer() -- after an error" or ""
  more.reject = states > 0 and "\n    if outcome == REJECT then reject_timer() end" or ""
  more.also = states > 0 and " and is_due" or ""
  return more
end

--- The Lua text of the loop for `count` functions; with_state[i] says which of them have states, if any, and `states`
--- how many these are.
function fuse.text(count, with_state, states)
  local names, calls, more = {}, {}, with_slots(states or 0)
  for i = 1, count do
    names[i] = ("local f%d = functions[%d]"):format(i, i)
    calls[i] = call:format(i, with_state and with_state[i] and ", object" or "", i + 1)
  end
  return body:format(more.names .. table.concat(names, "\n"), more.enter, more.open, more.also,
    table.concat(calls, "\n"), more.write, more.reject, more.keep)
end

--- functions: an array of functions, `where` = for each "file:line", `with_state` = as for fuse.text, `slots` =
--- of state.new -> the loop. It is called in a worker.
function fuse.loop(functions)
  local slots = functions.slots
  local chunk = assert(loadstring(fuse.text(#functions, functions.with_state, slots and #slots), "=(loop)"))
  return chunk(functions, message, result, answer, ffi, (many.runner(functions)), state, slots)
end

return fuse
