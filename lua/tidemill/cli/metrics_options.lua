-- SPDX-License-Identifier: MIT
-- cli/metrics_options.lua: the flags of `run` that override the setting tide.metrics, and what is in force of both.
local list = require("tidemill.steps.list")
local types = require("tidemill.plan.types")

local metrics_options = {}

-- The flags take the same texts as the options, and "off".
local function address(name, any_port)
  return function(text)
    local value, reason = types.parse({ name = name, type = "address", any_port = any_port, off = true }, text)
    if not value then return nil, ("--%s %s: %s"):format(name, text, reason) end
    return value
  end
end

function metrics_options.define(command)
  command:option("--metrics-addr"):argname("ADDRESS"):convert(address("metrics-addr", true))
    :description("Answer HTTP there: /metrics for Prometheus, / is the dashboard, /status is for `tidemill top`. "
      .. "HOST:PORT, a port of 127.0.0.1 (0 = any that is free), or off.")
  command:option("--statsd"):argname("ADDRESS"):convert(address("statsd", false))
    :description("Send metrics there by StatsD, with tags as DogStatsD has them, or off.")
  command:flag("--tap"):description("Let messages and state be seen over HTTP (`tidemill tap`, /state).")
end

local function chosen(flag, value)
  if flag then return not flag.off and flag or nil end
  return value
end

--- Returns the values of tide.metrics (`checked`, or nil) with what the flags say. Addresses are { host, port, text }.
function metrics_options.effective(checked, parsed)
  local values = {}
  for _, option in ipairs(list.metrics.options) do values[option.name] = types.default(option) end
  for name, value in pairs(checked and checked.values or {}) do values[name] = value end
  values.prometheus = chosen(parsed.metrics_addr, values.prometheus)
  values.statsd = chosen(parsed.statsd, values.statsd)
  values.tap = values.tap or parsed.tap or false
  values.tags = values.tags or {}
  return values
end

return metrics_options
