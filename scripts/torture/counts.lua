-- SPDX-License-Identifier: MIT
-- The counts per key of a torture with state (transform.lua), judged by the input alone: what each message must have
-- seen, and what must be left in the end in the changelogs and in each folder of state.
local behaviour = require "scripts.torture.behaviour"
local values = require "scripts.torture.values"

local counts = {}

counts.STATES = { "counts", "last" }

--- What is right: of_id = { id = the count of its key that its results say }, counts = { key = count }, last = { key =
--- id }. A message that ends as a dead letter does not count. input: the records of each partition in their order.
function counts.truth(input)
  local truth = { of_id = {}, counts = {}, last = {} }
  for _, record in ipairs(input) do
    local id = tonumber(record.value:match "^%d+")
    if not behaviour.REASONS[behaviour.of(id)] then
      truth.counts[record.key] = (truth.counts[record.key] or 0) + 1
      truth.of_id[id] = truth.counts[record.key]
      truth.last[record.key] = (behaviour.last(id) or {}).id
    end
  end
  return truth
end

local function form(value)
  return type(value) == "table" and value.id or value
end

--- The texts of what is wrong in a changelog.
function counts.judge_changelog(truth, state, records)
  return values.judge_changelog(state, truth[state], records, form)
end

--- The texts of what is wrong in a folder of state, by what `tidemill state FILE export` says of it.
function counts.judge_export(truth, where, text)
  return values.judge_export(where, { counts = truth.counts, last = truth.last }, text, form)
end

return counts
