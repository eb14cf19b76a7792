-- SPDX-License-Identifier: MIT
-- cli/dlq.lua: tidemill dlq list|count|show|replay|drop: decide what becomes of dead letters. Each action is a file of
-- cli/dlq.
local dlq = {
  summary = "List, count, show, replay or drop dead letters.",
  description = "Decide what becomes of dead letters: list or count them, show them whole, replay them to where they "
    .. "came from, or drop them. SOURCE is a pipeline file (its dlq is meant), a dead-letter file, or a topic. The "
    .. "names of groups that are used on a cluster begin with tidemill-dlq-TOPIC.",
}

--- In the order of the help.
dlq.actions = { "list", "count", "show", "replay", "drop" }

--- Returns the commands of the actions, by name.
function dlq.define(command, add_help)
  local commands = {}
  command:command_target("action"):require_command(true)
  for _, name in ipairs(dlq.actions) do
    local action = require("tidemill.cli.dlq." .. name)
    local made = command:command(name):summary(action.summary):description(action.description or action.summary)
    add_help(made)
    action.define(made)
    commands[#commands + 1] = { name = name, command = made }
  end
  return commands
end

function dlq.run(parsed)
  return require("tidemill.cli.dlq." .. parsed.action).run(parsed)
end

return dlq
