-- SPDX-License-Identifier: MIT
-- What is left of a state in the end, in its changelog and in each folder of state, against what is right.
local cjson = require "cjson"

local values = {}

local BY = "\0by" -- of the engine: by what the keys are made (TIDE_STATES_BY of engine/chain/states.h)

--- The texts of what differs; none when found = { key = value } says what right says.
function values.compare(where, found, right)
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

--- The texts of what is wrong in the records of a changelog, of each key of which the last one holds. right = { key =
--- value }, with values as `form` makes them of those of JSON.
function values.judge_changelog(state, right, records, form)
  local found, by = {}, nil
  for _, record in ipairs(records) do
    local text = record.value and record.value:match "\n(.*)"
    if record.key == BY then
      by = text
    else
      found[record.key] = text and form(tonumber(text) or cjson.decode(text))
    end
  end
  local wrong = values.compare("changelog of " .. state, found, right)
  if by ~= "key" then wrong[#wrong + 1] = ("changelog of %s: keys are by %s, not key"):format(state, tostring(by)) end
  return wrong
end

--- The texts of what is wrong in a folder of state, by what `tidemill state FILE export` says of it. right = { state =
--- { key = value } }.
function values.judge_export(where, right, text, form)
  local found, wrong = {}, {}
  for state in pairs(right) do found[state] = {} end
  for line in text:gmatch "[^\n]+" do
    local one = cjson.decode(line)
    found[one.state][one.key] = form(one.value)
  end
  for state, of_state in pairs(right) do
    for _, line in ipairs(values.compare(where .. ", " .. state, found[state], of_state)) do
      wrong[#wrong + 1] = line
    end
  end
  table.sort(wrong)
  return wrong
end

return values
