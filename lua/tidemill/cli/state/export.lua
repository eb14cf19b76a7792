-- SPDX-License-Identifier: MIT
-- cli/state/export.lua: tidemill state FILE export prints all values.
local selection = require("tidemill.cli.state.selection")

local export = { summary = "Print all values, a line of JSON for each key." }

function export.define(command)
  selection.define(command)
end

function export.run(parsed)
  local chosen, code = selection.new(parsed)
  return chosen and chosen:print(true) or code
end

return export
