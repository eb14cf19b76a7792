-- SPDX-License-Identifier: MIT
-- metrics/export_statsd.lua: the part of the observer that sends metrics by UDP, once a second and at the end.
local statsd = require("tidemill.metrics.statsd")
local tide = require("tidemill.run.ffi")
local udp = require("tidemill.metrics.udp")

local part = {}
part.__index = part

function part.new(observer)
  local settings = observer.settings
  if not settings.statsd then return nil end
  local socket = udp.new(settings.statsd, function(text) tide.C.tide_log_text("TIDE_LOG_WARN", text) end)
  local sender = statsd.new(observer.engine, observer.plan,
    { prefix = settings.prefix, tags = settings.tags, format = settings.statsd_format, engine = settings.engine },
    function(packet) socket:send(packet) end)
  return setmetatable({ socket = socket, sender = sender }, part)
end

function part:second(snapshot)
  self.sender:second(snapshot)
end

function part:finish(snapshot)
  self.sender:second(snapshot)
  self.socket:free()
end

return part
