-- SPDX-License-Identifier: MIT
-- metrics/export_prometheus.lua: the part of the observer that publishes /metrics. It renders once a second, whether
-- somebody asks or not: a page takes some 0.2 ms, and whoever asks finds one that is at most a second old.
local prometheus = require("tidemill.metrics.prometheus")
local tide = require("tidemill.run.ffi")

local part = {}
part.__index = part

function part.new(observer)
  local settings = observer.settings
  if not (observer.server and settings.prometheus) then return nil end
  local self = setmetatable({ observer = observer }, part)
  self.page = prometheus.new(observer.engine, observer.plan, { prefix = settings.prefix, tags = settings.tags,
    warn = function(text) tide.C.tide_log_text("TIDE_LOG_WARN", text) end })
  self:second(observer:look())
  return self
end

function part:second(snapshot)
  self.observer:publish("/metrics", prometheus.TYPE, self.page:render(snapshot))
end

return part
