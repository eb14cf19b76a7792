-- SPDX-License-Identifier: MIT
-- cli/state.lua: tidemill state FILE get|list|export|size|drop|reset: what tide.keyed has kept. Each action is a file
-- of cli/state.
local actions = require("tidemill.cli.actions")
local options = require("tidemill.cli.options")

local FOLDER = "tidemill.cli.state"

local state = {
  summary = "Show what tide.keyed has kept for each key, while the pipeline does not run.",
  description = "Show what tide.keyed has kept for each key, as lines of JSON. The state is that of the last commit "
    .. "of a run. It can be looked at while no engine uses it; a running pipeline answers GET /state/NAME/KEY where "
    .. "its metrics are served, if the flag --tap allows it. The folders of several engines (state_dir-1, "
    .. "state_dir-2) are looked at together. If a partition has moved to another machine, it is shown as it was when "
    .. "it left this one.",
}

--- In the order of the help.
state.actions = { "get", "list", "export", "size", "drop", "reset" }

--- Returns the commands of the actions, by name.
function state.define(command, add_help)
  options.file(command)
  options.set(command)
  return actions.define(command, state.actions, FOLDER, add_help)
end

function state.run(parsed)
  return actions.run(parsed, FOLDER)
end

return state
