-- SPDX-License-Identifier: MIT
-- cli/dlq.lua: tidemill dlq list|count|show|replay|drop: decide what becomes of dead letters. Each action is a file of
-- cli/dlq.
local actions = require("tidemill.cli.actions")

local FOLDER = "tidemill.cli.dlq"

local dlq = {
  summary = "List, count, show, replay or drop dead letters.",
  description = "List or count dead letters, show them whole, replay them to where they came from, or drop them. "
    .. "SOURCE is a pipeline file (with its dlq), a dead-letter file, or a topic. The names of groups that are used "
    .. "on a cluster begin with tidemill-dlq-TOPIC.",
}

--- In the order of the help.
dlq.actions = { "list", "count", "show", "replay", "drop" }

--- Returns the commands of the actions, by name.
function dlq.define(command, add_help)
  return actions.define(command, dlq.actions, FOLDER, add_help)
end

function dlq.run(parsed)
  return actions.run(parsed, FOLDER)
end

return dlq
