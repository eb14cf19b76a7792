-- SPDX-License-Identifier: MIT
-- The transform under torture behaves on each message as its id says (behaviour.lua).
local ffi = require "ffi"
local tide = require "tidemill"
local behaviour = require "behaviour"
local journal = require "journal"

pcall(ffi.cdef, "void abort(void);")
pcall(ffi.cdef, "int poll(void *descriptors, unsigned long count, int ms);")

local JOURNAL, RUN = tide.env("TORTURE_JOURNAL"), tide.env("TORTURE_RUN")
local SECOND = tide.env("TORTURE_SECOND")

local function note(event, id)
  journal.write(JOURNAL, RUN, event, nil, id)
end

-- Ways to crash and to hang, each for its share of the ids.
local CRASHES = {
  function() ffi.cast("void (*)(void)", 0)() end, -- not by raise(): the sandbox may refuse it
  function() ffi.cast("int *", 0)[0] = 1 end,
  function() ffi.C.abort() end,
  function() os.exit(3) end,
}
local HANGS = {
  function() ffi.C.poll(nil, 0, -1) end,
  function() ffi.C.poll(nil, 0, -1) end,
  function() while true do end end, -- luacheck: ignore 542
}

local function choose(list, number)
  return list[number % #list + 1]
end

local function result(message, id, piece, count)
  local headers = {}
  for i, header in ipairs(message.headers) do headers[i] = header end
  headers[#headers + 1] = { "run", RUN }
  if count then headers[#headers + 1] = { "count", tostring(count) } end
  local topic = behaviour.topic(id, piece) == "second" and SECOND or nil
  return { value = behaviour.output(id, piece), headers = headers, topic = topic }
end

local does = {}

function does.crash(_, id)
  note("crash", id)
  choose(CRASHES, id / 97)()
end

function does.hang(_, id)
  note("hang", id)
  choose(HANGS, id / 89)()
end

function does.error(_, id)
  local way = id / 83 % 3
  if way == 0 then error("as its id says") end
  if way == 1 then return 42 end
  return tide.reject("as its id says")
end

function does.filter() end

function does.two(message, id, count)
  return tide.many { result(message, id, 1, count), result(message, id, 2, count) }
end

-- What it does to the state comes first: of a message that then fails nothing may remain.
local function count_key(state, id)
  local count = (state.counts.value or 0) + 1
  state.counts.value = count
  state.last.value = behaviour.last(id)
  return count
end

-- state: where the pipeline is one with state.
local function process(message, state)
  local id = tonumber(message.value:match("^%d+"))
  local count = state and count_key(state, id)
  local act = does[behaviour.of(id)]
  if act then return act(message, id, count) end
  return result(message, id, 1, count)
end

return { init = function() note("zygote") end, start = function() note("start") end, process = process }
