-- SPDX-License-Identifier: MIT
-- cli/status.lua: publishes the snapshot as JSON, at /status.
local json = require("tidemill.cli.json")

-- What is a list in the snapshot, also when it is empty.
local LISTS = { steps = true, workers = true, partitions = true, procedure = true, last = true, slow_messages = true }

local status = {}
status.__index = status

function status.new(observer)
  if not observer.server then return nil end
  local self = setmetatable({ observer = observer }, status)
  self:second(observer:look())
  return self
end

function status:second(snapshot)
  self.observer:publish("/status", "application/json", json.line(snapshot, LISTS) .. "\n")
end

return status
