-- SPDX-License-Identifier: MIT
-- cli/state/drop.lua: tidemill state FILE drop NAME deletes a state that no step has any more.
local confirm = require("tidemill.cli.dlq.confirm")
local exit_code = require("tidemill.plan.exit_code")
local selection = require("tidemill.cli.state.selection")
local stderr = require("tidemill.cli.stderr")
local stores = require("tidemill.cli.state.stores")

local drop = {
  summary = "Delete a state that no step of the pipeline has any more.",
  description = "Delete a state from state_dir that no step of the pipeline has any more. The log names such a state "
    .. "at each start. The states of its steps, and the place in the input, stay. With Kafka its changelog stays too: "
    .. "delete that topic yourself, or a state that has the name again begins with what is in it.",
}

function drop.define(command)
  command:argument("name"):description("The name of the state.")
  confirm.define(command)
end

local function has(list, name)
  for _, one in ipairs(list) do
    if one == name then return true end
  end
  return false
end

-- The names of the states that no step has, in any of the folders.
local function left_text(found, names)
  local list = {}
  for name in pairs(found) do
    if not has(names, name) then list[#list + 1] = name end
  end
  table.sort(list)
  return #list > 0 and "left over are " .. table.concat(list, ", ") or "none is left over"
end

function drop.run(parsed)
  local of, code = selection.pipeline(parsed)
  if not of then return code end
  if has(of.names, parsed.name) then
    stderr.failure('%s: a step has the state "%s"; only one that no step has is dropped. To begin with an empty state, '
      .. "give it a new name in the step (docs/state.md)", of.pipeline.file, parsed.name)
    return exit_code.CONFIG
  end
  local found, reason, status = stores.find(of.dir, of.name, of.topic)
  if not found then return select(2, selection.failed(reason, status)) end
  if not found[parsed.name] then
    stderr.failure("%s: the store has no state of that name; %s", parsed.name, left_text(found, of.names))
    return exit_code.USAGE
  end
  if not confirm.ask(parsed, ('delete the state "%s" of %s in %s'):format(parsed.name, of.name, of.dir)) then
    return exit_code.USAGE
  end
  local changelog = of.topic and ("%s.%s.changelog"):format(of.name, parsed.name)
  for _, place in ipairs(found[parsed.name]) do
    local done
    done, reason, status = place:drop(changelog)
    if not done then return select(2, selection.failed(reason, status)) end
  end
  stderr.failure('the state "%s" is deleted%s', parsed.name, changelog and (" here; its topic %s stays: delete it too, "
    .. "or a state that has this name again begins with what is in the topic"):format(changelog) or "")
  return exit_code.OK
end

return drop
