-- SPDX-License-Identifier: MIT
-- cli/observed.lua: the observer of a run with all its parts, in the order in which each adds to the snapshot for those
-- after it. A part's module has new(observer), which returns the part, or nil when the settings do not want it; or nil,
-- the reason and the exit code when they cannot be met.
local observer = require("tidemill.metrics.observer")

local observed = {}

local PARTS = {
  "tidemill.tuning.advice",
  "tidemill.tuning.automatic",
  "tidemill.metrics.export_prometheus",
  "tidemill.metrics.export_statsd",
  "tidemill.cli.dashboard",
  "tidemill.metrics.profile_request",
  "tidemill.metrics.tap",
  "tidemill.cli.status", -- after all that fill in fields of the snapshot
}

--- Returns the observer, or nil, the reason and the exit code.
function observed.new(engine, plan, settings)
  local self, reason, status = observer.new(engine, plan, settings)
  if not self then return nil, reason, status end
  for _, name in ipairs(PARTS) do
    local part
    part, reason, status = require(name).new(self)
    if reason then
      self:free()
      return nil, reason, status
    end
    if part then self:add(part) end
  end
  return self
end

return observed
