-- SPDX-License-Identifier: MIT
-- cli/state/list.lua: tidemill state FILE list prints the keys, without their values.
local selection = require("tidemill.cli.state.selection")

local list = { summary = "List keys with the sizes of their values, a line of JSON for each." }

function list.define(command)
  selection.define(command)
  command:option("--limit"):argname("N"):convert(function(text)
    local number = text:find("^%d+$") and tonumber(text)
    if not number or number == 0 then return nil, ("--limit %s: must be a number, 1 at least"):format(text) end
    return number
  end):description("At most so many; without it all.")
end

function list.run(parsed)
  local chosen, code = selection.new(parsed)
  return chosen and chosen:print(false, parsed.limit) or code
end

return list
