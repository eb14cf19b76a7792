-- SPDX-License-Identifier: MIT
-- cli/dlq/confirm.lua asks before a command does what cannot be taken back.
local stderr = require("tidemill.cli.stderr")
local posix = require("tidemill.run.posix")

local confirm = {}

--- Adds the flag.
function confirm.define(command)
  command:flag("-y --yes"):description("Do not ask. Needed when standard input is no terminal.")
end

--- True when the user answers yes, or --yes was given.
function confirm.ask(parsed, what)
  if parsed.yes then return true end
  if posix.isatty(0) ~= 1 then
    stderr.failure("to %s, say --yes: nobody can be asked here", what)
    return false
  end
  io.stderr:write("tidemill: ", what, "? [y/N] ")
  local answer = io.stdin:read("*l") or ""
  return answer:lower() == "y" or answer:lower() == "yes"
end

return confirm
