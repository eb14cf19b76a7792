-- SPDX-License-Identifier: MIT
-- metrics/state_request.lua: answers GET /state/NAME/KEY with the value that the key has now, as a line of JSON for
-- each partition (metrics/state_line.lua). A part of the observer. A request looks one key up, in memory or in the
-- store, as the engine itself does for a message; so few are answered in a turn that messages do not wait for them.
local ffi = require("ffi")
local state_line = require("tidemill.metrics.state_line")
local tide = require("tidemill.run.ffi")
local C = tide.C

local state_request = {}
state_request.__index = state_request

local PATH = "/state/"
local LOOKUPS = 200 -- in a turn, of all requests together
local PIECE = 65536 -- bytes of an answer that are sent at once
local NONE = "the key has no value in this state, in the partitions that are read here"
local SECRET = "this pipeline does not show its state, as it may be secret: run it with --tap, or with "
  .. "metrics = tide.metrics { tap = true } in its file"

local function decoded(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- The names of the pipeline's states: an array that also has each name as a key.
local function names_of(plan)
  local names = {}
  for _, step in ipairs(plan.tables.steps) do
    for _, name in ipairs(step.states or {}) do
      names[#names + 1], names[name] = name, true
    end
  end
  return names
end

-- The partitions that the run reads now.
local function partitions_of(engine)
  local list, seen = {}, {}
  local number, offset = ffi.new "int32_t[1]", ffi.new "int64_t[1]"
  local index = 0
  while C.tide_engine_position(engine.handle, index, number, offset) do
    if not seen[number[0]] then list[#list + 1] = number[0] end
    seen[number[0]], index = true, index + 1
  end
  return list
end

--- A part of the observer; nil without HTTP.
function state_request.new(observer)
  if not observer.server then return nil end
  local self = setmetatable({ observer = observer, names = names_of(observer.plan), open = {} }, state_request)
  observer:live(PATH, function(request) self:begin(request) end)
  return self
end

--- A client asks.
function state_request:begin(request)
  if not self.observer.settings.tap then return request:refuse(403, SECRET) end
  local name, key = request.rest:match("^([^/]*)/(.*)$")
  if not name then return request:refuse(400, "ask for /state/NAME/KEY, the key percent-encoded") end
  name, key = decoded(name), decoded(key)
  if not self.names[name] then
    return request:refuse(404, #self.names == 0 and "no step of this pipeline keeps state"
      or ('there is no state "%s"; there are: %s'):format(name, table.concat(self.names, " ")))
  end
  local partitions, wanted = partitions_of(self.observer.engine), request.query.partition
  if wanted then
    if not wanted:find("^%d+$") or #wanted > 9 then
      return request:refuse(400, ("partition=%s: must be a number"):format(wanted))
    end
    partitions = { tonumber(wanted) }
  end
  self.open[#self.open + 1] = { request = request, name = name, key = key, partitions = partitions, next = 1 }
end

-- Sends what was found, in pieces that the client's buffer has room for: "taken", "full" or "gone".
local function send(asked)
  while asked.text do
    local written = asked.request:write(asked.text:sub(1, PIECE))
    if written ~= "taken" then return written end
    asked.text = #asked.text > PIECE and asked.text:sub(PIECE + 1) or nil
  end
  return "taken"
end

-- Looks in the next partition. Returns false when the answer is complete.
local function look(self, asked)
  local partition, value = asked.partitions[asked.next], ffi.new "struct tide_store_value"
  if not partition then
    if not asked.found then asked.request:refuse(404, NONE) end
    asked.request:finish()
    return false
  end
  asked.next = asked.next + 1
  local found = C.tide_engine_look(self.observer.engine.handle, asked.name, partition, asked.key, #asked.key, value)
  if found < 0 then
    asked.request:refuse(500, tide.error())
    return false
  end
  if found == 1 and state_line.lives(value, tonumber(C.tide_clock_day_ms())) then
    asked.found, asked.text = true, state_line.of(asked.name, partition, asked.key, value, true)
  end
  return true
end

-- Answers a request, with so many lookups at most. Returns how many are left, and whether the answer is complete.
local function go_on(self, asked, lookups)
  while true do
    local written = send(asked)
    if written == "gone" then asked.request:finish() end
    if written ~= "taken" then return lookups, written == "gone" end
    if lookups == 0 then return 0, false end
    lookups = lookups - 1
    if not look(self, asked) then return lookups, true end
  end
end

function state_request:turn()
  local lookups = LOOKUPS
  for i = #self.open, 1, -1 do
    local complete
    lookups, complete = go_on(self, self.open[i], lookups)
    if complete then table.remove(self.open, i) end
  end
end

--- The run ends.
function state_request:finish()
  for _, asked in ipairs(self.open) do asked.request:refuse(503, "the run ends") end
  self.open = {}
end

return state_request
