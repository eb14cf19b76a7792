-- SPDX-License-Identifier: MIT
-- cli/state/get.lua: tidemill state FILE get KEY prints the value that a key has, in each state and partition.
local exit_code = require("tidemill.plan.exit_code")
local selection = require("tidemill.cli.state.selection")
local state_line = require("tidemill.metrics.state_line")
local stderr = require("tidemill.cli.stderr")

local get = {
  summary = "Print the value of a key.",
  description = "Print the value of a key: a line of JSON for each state and partition that has one. When there is "
    .. "none, the exit code is " .. exit_code.NO_INPUT .. ".",
}

function get.define(command)
  command:argument("key"):argname("KEY"):description('The key, as text, by the option "by" of the step. With a JSON '
    .. "path: a string without its quotes, or the text of a number or boolean.")
  selection.define(command)
end

-- Prints the values of the key in one state; how many there were, or nil, the reason and the status.
local function print_state(chosen, state, key)
  local partitions, reason, status = { chosen.partition }, nil, nil
  if not chosen.partition then partitions, reason, status = chosen.store:partitions(state) end
  local count = 0
  for _, partition in ipairs(partitions or {}) do
    local value
    value, reason, status = chosen.store:get(state, partition, key)
    if value == nil then return nil, reason, status end
    if value and state_line.lives(value, chosen.now_ms) then
      io.stdout:write(state_line.of(state.name, partition, key, value, true))
      count = count + 1
    end
  end
  return partitions and count, reason, status
end

function get.run(parsed)
  local chosen, code = selection.new(parsed)
  if not chosen then return code end
  local sum = 0
  for _, state in ipairs(chosen.states) do
    local count, reason, status = print_state(chosen, state, parsed.key)
    if not count then return select(2, selection.failed(reason, status)) end
    sum = sum + count
  end
  chosen.store:free()
  if sum > 0 then return exit_code.OK end
  stderr.failure('no value of the key "%s"', parsed.key)
  return exit_code.NO_INPUT
end

return get
