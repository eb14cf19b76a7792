-- SPDX-License-Identifier: MIT
-- The counts per key of a torture with state (transform.lua), judged by the input alone: what each message must have
-- seen, and what must be left in the end in the changelogs and in each folder of state.
local cjson = require "cjson"
local behaviour = require "scripts.torture.behaviour"

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

-- The texts of what differs; none when found says what right says.
local function compare(where, found, right)
  local wrong = {}
  for key, value in pairs(right) do
    if found[key] ~= value then
      wrong[#wrong + 1] = ("%s: %s of %s, not %s"):format(where, tostring(found[key]), key, tostring(value))
    end
  end
  for key, value in pairs(found) do
    if right[key] == nil then wrong[#wrong + 1] = ("%s: %s of %s, which has none"):format(where, value, key) end
  end
  table.sort(wrong)
  return wrong
end

local BY = "\0by" -- of the engine: by what the keys are made (TIDE_STATES_BY of engine/chain/states.h)

--- The texts of what is wrong in a changelog, of each key of which the last record holds.
function counts.judge_changelog(truth, state, records)
  local found, by = {}, nil
  for _, record in ipairs(records) do
    local text = record.value and record.value:match "\n(.*)"
    if record.key == BY then
      by = text
    else
      found[record.key] = text and (tonumber(text) or cjson.decode(text).id)
    end
  end
  local wrong = compare("changelog of " .. state, found, truth[state])
  if by ~= "key" then wrong[#wrong + 1] = ("changelog of %s: keys are by %s, not key"):format(state, tostring(by)) end
  return wrong
end

--- The texts of what is wrong in a folder of state, by what `tidemill state FILE export` says of it.
function counts.judge_export(truth, where, text)
  local found, wrong = { counts = {}, last = {} }, {}
  for line in text:gmatch "[^\n]+" do
    local one = cjson.decode(line)
    found[one.state][one.key] = type(one.value) == "table" and one.value.id or one.value
  end
  for _, state in ipairs(counts.STATES) do
    for _, line in ipairs(compare(where .. ", " .. state, found[state], truth[state])) do wrong[#wrong + 1] = line end
  end
  return wrong
end

return counts
