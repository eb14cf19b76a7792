-- SPDX-License-Identifier: MIT
-- cli/actions.lua: the actions of a command (tidemill dlq, tidemill state), each a file in the folder of that command.
local actions = {}

--- Adds the actions to a command, each with its help. Returns an array of { name, command }.
function actions.define(command, names, folder, add_help)
  local commands = {}
  command:command_target("action"):require_command(true)
  for _, name in ipairs(names) do
    local action = require(folder .. "." .. name)
    local made = command:command(name):summary(action.summary):description(action.description or action.summary)
    add_help(made)
    action.define(made)
    commands[#commands + 1] = { name = name, command = made }
  end
  return commands
end

--- Runs the action that was asked for.
function actions.run(parsed, folder)
  return require(folder .. "." .. parsed.action).run(parsed)
end

return actions
