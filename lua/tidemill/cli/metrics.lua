-- SPDX-License-Identifier: MIT
-- cli/metrics.lua: tidemill metrics lists all metrics, or prints what Grafana and Prometheus take: board and rules.
local alerts = require("tidemill.metrics.alerts")
local board = require("tidemill.metrics.board")
local exit_code = require("tidemill.plan.exit_code")
local json = require("tidemill.cli.json")
local names = require("tidemill.metrics.names")
local stderr = require("tidemill.cli.stderr")

local metrics = {
  summary = "List all metrics, or print the Grafana board or the alert rules for Prometheus.",
  description = "List all metrics with their names in Prometheus, or print the Grafana board or the alert rules for "
    .. "Prometheus. docs/metrics.md says for each what to do.",
}

function metrics.define(command)
  command:option("--format"):choices({ "text", "grafana", "alerts" }):default("text"):argname("FORMAT")
    :description("text; grafana: the board as JSON, to be imported; alerts: rules as YAML, for rule_files.")
  command:option("--prefix"):default("tidemill"):argname("PREFIX")
    :description("What the names begin with, as in tide.metrics. arroyo: the names are Arroyo's.")
end

--- The metrics by their names in Prometheus, a line each.
function metrics.text(prefix)
  local lines, width = {}, 0
  local families = names.families(prefix)
  for _, family in ipairs(families) do width = math.max(width, #family.name) end
  for i, family in ipairs(families) do
    lines[i] = ("%-" .. width .. "s  %-9s  %s"):format(family.name, family.kind, family.help)
  end
  return table.concat(lines, "\n") .. "\n"
end

--- The board as JSON.
function metrics.grafana(prefix)
  return json.encode(board.new(prefix), board.LISTS) .. "\n"
end

metrics.alerts = alerts.yaml

function metrics.run(parsed)
  if not parsed.prefix:find("^[%a_][%w_.]*$") then
    stderr.failure('--prefix %s: must be letters, digits, "_" and ".", and begin with a letter', parsed.prefix)
    return exit_code.USAGE
  end
  io.stdout:write(metrics[parsed.format](parsed.prefix))
  return exit_code.OK
end

return metrics
