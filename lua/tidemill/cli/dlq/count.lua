-- SPDX-License-Identifier: MIT
-- cli/dlq/count.lua: tidemill dlq count SOURCE tells what is wrong in how many dead letters, the most frequent first.
local dead_letter = require("tidemill.cli.dlq.dead_letter")
local exit_code = require("tidemill.plan.exit_code")
local output = require("tidemill.cli.dlq.output")
local selection = require("tidemill.cli.dlq.selection")

local count = {
  summary = "Count dead letters by what is wrong with them.",
  description = "Count dead letters by step, reason and error, the most frequent first, with the first one of each for "
    .. "`tidemill dlq show`.",
}

function count.define(command)
  selection.define(command)
  output.define(command)
end

-- { { count, stage, reason, error, first }, ... } of the letters, in the order that is printed.
local function kinds_of(letters)
  local kinds, known = {}, {}
  for i, found in ipairs(letters) do
    local key = ("%s\0%s\0%s"):format(found.stage or "-", found.reason or "-", found.error or "-")
    if not known[key] then
      known[key] = { count = 0, stage = found.stage, reason = found.reason, error = found.error, at = i,
        first = dead_letter.id(found) }
      kinds[#kinds + 1] = known[key]
    end
    known[key].count = known[key].count + 1
  end
  table.sort(kinds, function(a, b)
    if a.count ~= b.count then return a.count > b.count end
    return a.at < b.at
  end)
  return kinds
end

function count.run(parsed)
  local chosen, code = selection.new(parsed)
  if not chosen then return code end
  output.count(kinds_of(chosen.letters), parsed.format)
  return exit_code.OK
end

return count
