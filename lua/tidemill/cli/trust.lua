-- SPDX-License-Identifier: MIT
-- cli/trust.lua: says in a line what functions of a pipeline may do.
local trust = {}

local function list(name, values)
  if not values then return nil end
  return ("%s %s"):format(name, table.concat(values, ", "))
end

--- Returns the line for a plan, without the name of its file.
function trust.text(plan)
  local values = plan.pipeline.settings.values
  if plan.trust == "full" then return "trust full: functions may do all that the user may who runs them" end
  local files = values.files or {}
  local parts = { values.network and "network" or "no network" }
  parts[#parts + 1] = list("reads", files.read) or "reads no files but those that loading it needs"
  parts[#parts + 1] = list("writes", files.write) or "writes none"
  parts[#parts + 1] = list("env", values.env)
  return ("trust %s: %s"):format(plan.trust, table.concat(parts, "; "))
end

return trust
