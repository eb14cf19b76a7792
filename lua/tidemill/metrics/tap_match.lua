-- SPDX-License-Identifier: MIT
-- metrics/tap_match.lua: which messages a tap shows, as people write it (--match 'key=abc'), becomes the conditions of
-- run/tap.lua. The client parses it to find mistakes before it asks, and the pipeline parses it again.
local taps = require("tidemill.run.tap")

local tap_match = {}

--- What may be written, for the help.
tap_match.HELP = "key=TEXT, key~TEXT, value=TEXT, value~TEXT, header.NAME=TEXT, header.NAME~TEXT, topic=NAME, "
  .. "topic~TEXT, partition=N, offset=N, offset=N..M, fate=FATE (= is all of it, ~ is a part of it)"

local LONGEST = 512 -- bytes of one condition

local function fate_names()
  local names = {}
  for name in pairs(taps.fates) do names[#names + 1] = name end
  table.sort(names)
  return table.concat(names, ", ")
end

local function refused(text, reason, ...)
  return nil, ('--match "%s": %s'):format(text, reason:format(...))
end

local function text_condition(field)
  return function(text, operator, value)
    if operator == "~" and value == "" then return refused(text, "what is looked for is empty") end
    return { field = field, contains = operator == "~", text = value }
  end
end

-- A number, or a range N..M of which either end may be missing.
local function number_condition(field, least)
  return function(text, operator, value)
    if operator ~= "=" then return refused(text, '%s is a number: write %s=N or %s=N..M', field, field, field) end
    local from, to = value:match("^(%d*)%.%.(%d*)$")
    if not from then from, to = value:match("^%d+$"), value:match("^%d+$") end
    if not from or from == "" and to == "" or #from > 15 or #to > 15 then
      return refused(text, '"%s" is neither a number nor a range N..M', value)
    end
    local condition = { field = field, least = tonumber(from) or least, most = tonumber(to) or 2 ^ 53 }
    if condition.least > condition.most then return refused(text, "the range is empty") end
    return condition
  end
end

local function fate_condition(text, operator, value)
  local fate = taps.fates[value]
  if operator ~= "=" or not fate then return refused(text, "write fate=FATE; a fate is one of %s", fate_names()) end
  return { field = "fate", least = fate, most = fate }
end

local FIELDS = {
  key = text_condition("key"), value = text_condition("value"), topic = text_condition("topic"),
  partition = number_condition("partition", 0), offset = number_condition("offset", 0), fate = fate_condition,
}

-- What is cheap to test comes first, so that values are searched last.
local ORDER = { fate = 1, partition = 2, offset = 3, topic = 4, key = 5, header = 6, value = 7 }

--- Returns the condition, or nil and what is wrong.
function tap_match.parse(text)
  if #text > LONGEST then return nil, ("--match: a condition has at most %d bytes"):format(LONGEST) end
  local field, operator, value = text:match("^([^=~]+)([=~])(.*)$")
  if not field then return refused(text, "it has neither = nor ~; write one of %s", tap_match.HELP) end
  local header = field:match("^header%.(.+)$")
  if header then
    local condition, reason = text_condition("header")(text, operator, value)
    if condition then condition.name = header end
    return condition, reason
  end
  if not FIELDS[field] then return refused(text, '"%s" is no field; write one of %s', field, tap_match.HELP) end
  return FIELDS[field](text, operator, value)
end

--- Returns the conditions of several texts, in the order in which they are tested; or nil and what is wrong.
function tap_match.all(texts)
  local conditions = {}
  if #texts > taps.MOST_CONDITIONS then
    return nil, ("--match: at most %d conditions, these are %d"):format(taps.MOST_CONDITIONS, #texts)
  end
  for i, text in ipairs(texts) do
    local condition, reason = tap_match.parse(text)
    if not condition then return nil, reason end
    condition.number = i
    conditions[i] = condition
  end
  table.sort(conditions, function(one, other)
    if ORDER[one.field] ~= ORDER[other.field] then return ORDER[one.field] < ORDER[other.field] end
    return one.number < other.number
  end)
  return conditions
end

return tap_match
