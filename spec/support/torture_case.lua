-- SPDX-License-Identifier: MIT
-- What a run under torture has left, made by hand, for specs of its checker (scripts/torture/checker.lua).
local assert = require "luassert"
local behaviour = require "scripts.torture.behaviour"
local checker = require "scripts.torture.checker"

local torture_case = {}

--- A run that has read and committed `count` messages of so many partitions, and has written nothing.
function torture_case.new(count, partitions)
  local case = { input = {}, output = {}, second = {}, dead_letters = {}, committed = {}, ends = {},
    mode = "exactly_once", disturbances = 0 }
  for id = 1, count do
    local partition = behaviour.partition(id, partitions)
    local offset = case.ends[partition] or 0
    case.ends[partition], case.committed[partition] = offset + 1, offset + 1
    case.input[id] = { key = behaviour.key(id), value = behaviour.input(id), partition = partition, offset = offset,
      headers = { { "seq", tostring(offset) } } }
  end
  return case
end

--- The dead letter of a message of the input.
function torture_case.dead_letter(input, reason)
  return { key = input.key, value = input.value, partition = 0, offset = 0, timestamp = 0, headers = {
    { "seq", tostring(input.offset) }, { "original_partition", tostring(input.partition) },
    { "original_offset", tostring(input.offset) }, { "reason", reason } } }
end

--- Exactly these are wrong, each so many times. Returns all that the checker has found.
function torture_case.finds(case, wanted)
  local findings, found = checker.run(case), {}
  for what, count in pairs(findings.counts) do
    if count > 0 then found[what] = count end
  end
  assert.same(wanted, found)
  return findings
end

return torture_case
