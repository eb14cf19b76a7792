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
  "tidemill.metrics.state_request",
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

--- Says where HTTP is answered. log(level, text, event, fields) writes a line.
function observed.announce(server, host, log)
  local port = server.port
  log("TIDE_LOG_INFO", ("HTTP on %s: /metrics /status /healthz /readyz"):format(
    (host:find(":") and "http://[%s]:%d/" or "http://%s:%d/"):format(host, port)), "http", { host = host, port = port })
  if server.everywhere then
    log("TIDE_LOG_WARN", ("HTTP on %s: everybody who reaches this machine can read it; there is no password"):format(
      host))
  end
end

return observed
