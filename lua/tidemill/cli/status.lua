-- SPDX-License-Identifier: MIT
-- cli/status.lua: publishes the snapshot as JSON, at /status. It is encoded by lua-cjson, once a second on the engine's
-- thread: with many partitions our own encoder (cli/json.lua) would take ten times as long. Its 14 digits are enough
-- for counts and times.
local cjson = require("cjson").new()
local utf8 = require("tidemill.plan.utf8")

cjson.encode_invalid_numbers("null")
cjson.encode_sparse_array(true)

-- What is a list in the snapshot, also when it is empty.
local LISTS = { steps = true, workers = true, partitions = true, procedure = true, last = true, slow_messages = true,
  engines = true }

local status = {}
status.__index = status

-- lua-cjson cannot know that an empty table is a list. The pattern is found in no text, where a quote has a backslash.
local function with_lists(name)
  return LISTS[name] and ('"%s":[]'):format(name) or nil
end

--- Returns a snapshot as JSON, which is UTF-8: lua-cjson lets other bytes through.
function status.encode(snapshot)
  return (utf8.clean(cjson.encode(snapshot)):gsub('"([%l_]+)":{}', with_lists))
end

function status.new(observer)
  if not observer.server then return nil end
  local self = setmetatable({ observer = observer }, status)
  self:second(observer:look())
  return self
end

function status:second(snapshot)
  self.observer:publish("/status", "application/json", status.encode(snapshot) .. "\n")
end

return status
