-- SPDX-License-Identifier: MIT
-- cli/dlq/list.lua: tidemill dlq list SOURCE prints dead letters, one a line.
local selection = require("tidemill.cli.dlq.selection")
local exit_code = require("tidemill.plan.exit_code")
local output = require("tidemill.cli.dlq.output")

local list = { summary = "List dead letters, one a line: where they came from and why they are there." }

function list.define(command)
  selection.define(command)
  output.define(command)
end

function list.run(parsed)
  local chosen, code = selection.new(parsed)
  if not chosen then return code end
  output.list(chosen.letters, parsed.format)
  return exit_code.OK
end

return list
