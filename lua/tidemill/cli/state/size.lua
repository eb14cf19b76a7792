-- SPDX-License-Identifier: MIT
-- cli/state/size.lua: tidemill state FILE size prints how much the store holds.
local exit_code = require("tidemill.plan.exit_code")
local json = require("tidemill.run.json")
local selection = require("tidemill.cli.state.selection")

local size = {
  summary = "Print how many keys and bytes each state has, as an object of JSON.",
  description = "Print how many keys and bytes (of keys and values) each state has, and how many of them have expired "
    .. "and are not deleted yet: an object of JSON. file_bytes is the size of the store's file.",
}

function size.define(command)
  selection.define(command)
end

function size.run(parsed)
  local chosen, code = selection.new(parsed)
  if not chosen then return code end
  local lines, at = {}, {}
  for i, state in ipairs(chosen.states) do
    at[state] = { name = state.name, by = state.by, keys = 0, bytes = 0, expired = 0 }
    lines[i] = at[state]
  end
  code = chosen:each(function(state, _, key, value, lives)
    local sum = at[state]
    sum.keys, sum.bytes = sum.keys + 1, sum.bytes + #key + value.length
    if not lives then sum.expired = sum.expired + 1 end
  end)
  if code == exit_code.OK then
    local texts = {}
    for i, sum in ipairs(lines) do
      texts[i] = ('{"state":"%s","by":%s,"keys":%.0f,"bytes":%.0f,"expired":%.0f}'):format(sum.name,
        json.encode(sum.by), sum.keys, sum.bytes, sum.expired)
    end
    io.stdout:write(('{"state_dir":%s,"file_bytes":%.0f,"states":[%s]}\n'):format(json.encode(chosen.of.dir),
      chosen.store:bytes(), table.concat(texts, ",")))
  end
  chosen.store:free()
  return code
end

return size
