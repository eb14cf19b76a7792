-- SPDX-License-Identifier: MIT
-- cli/trust.lua: says in a line what functions of a pipeline may do, and what the kernel has to keep them to it. What
-- does not hold for want of it is a warning of the engine's (engine/proc/sandbox.c).
local ffi = require("ffi")
local C = require("tidemill.run.ffi").C

local trust = {}

local function kernel()
  local support = ffi.new("struct tide_sandbox_support")
  C.tide_sandbox_support(support)
  return ("kernel: %s, %s"):format(support.seccomp and "seccomp" or "no seccomp",
    support.landlock > 0 and ("Landlock %d"):format(support.landlock) or "no Landlock")
end

local function list(name, values)
  if not values then return nil end
  return ("%s %s"):format(name, table.concat(values, ", "))
end

--- Returns the line for a plan, without the name of its file.
function trust.text(plan)
  local values = plan.pipeline.settings.values
  if plan.trust == "full" then return "trust full: functions may do all that the user may who runs them" end
  local files = values.files or {}
  local hosts = type(values.network) == "table" and "connects to " .. table.concat(values.network, ", ")
  local parts = { hosts or values.network and "network" or "no network" }
  parts[#parts + 1] = list("reads", files.read) or "reads no files but those that loading it needs"
  parts[#parts + 1] = list("writes", files.write) or "writes none"
  parts[#parts + 1] = list("env", values.env)
  parts[#parts + 1] = kernel()
  return ("trust %s: %s"):format(plan.trust, table.concat(parts, "; "))
end

return trust
