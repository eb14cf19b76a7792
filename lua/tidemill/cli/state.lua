-- SPDX-License-Identifier: MIT
-- cli/state.lua: tidemill state FILE get|list|export|size|reset: what tide.keyed has kept. Each action is a file of
-- cli/state.
local options = require("tidemill.cli.options")

local state = {
  summary = "Show what tide.keyed has kept for each key, while the pipeline does not run.",
  description = "Show what tide.keyed has kept for each key, as lines of JSON. The state is that of the last commit of "
    .. "a run. It can be looked at while no engine has it; a running pipeline answers GET /state/NAME/KEY where its "
    .. "metrics are served, if the flag --tap allows it.",
}

--- In the order of the help.
state.actions = { "get", "list", "export", "size", "reset" }

--- Returns the commands of the actions, by name.
function state.define(command, add_help)
  local commands = {}
  options.file(command)
  options.set(command)
  command:command_target("action"):require_command(true)
  for _, name in ipairs(state.actions) do
    local action = require("tidemill.cli.state." .. name)
    local made = command:command(name):summary(action.summary):description(action.description or action.summary)
    add_help(made)
    action.define(made)
    commands[#commands + 1] = { name = name, command = made }
  end
  return commands
end

function state.run(parsed)
  return require("tidemill.cli.state." .. parsed.action).run(parsed)
end

return state
