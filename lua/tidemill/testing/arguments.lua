-- SPDX-License-Identifier: MIT
-- testing/arguments.lua: checks what specs call tidemill.testing with. An error has the line of the spec: these checks
-- are called by the function that the spec calls, which is no tail call of it (levels count frames).
local check = require("tidemill.run.check")
local header_codec = require("tidemill.run.headers")
local shown = require("tidemill.lib.arguments").shown
local units = require("tidemill.plan.units")

local arguments = {}

local MOST_PARTITIONS = 4096 -- of the source in memory (engine/io/memory_source.c)
local LATEST = 2 ^ 53 -- milliseconds; beyond it numbers are not exact
local FEEDABLE = { value = true, key = true, headers = true, timestamp = true, partition = true, topic = true }

local function is_integer(value, least, most)
  return type(value) == "number" and value % 1 == 0 and value >= least and value <= most
end

--- Raises unless `value` is a partition of the test; nil is partition 0.
function arguments.partition(value, what, partitions)
  if value == nil then return 0 end
  if is_integer(value, 0, partitions - 1) then return value end
  error(("%s takes a partition from 0 to %d (option partitions), got %s"):format(what, partitions - 1, shown(value)), 3)
end

--- Returns the microseconds of a time.
function arguments.time(value, what)
  local time, reason = units.time(value)
  if time and time >= 0 then return time end
  error(("%s takes a time, got %s: %s"):format(what, shown(value), reason or "the clock never goes back"), 3)
end

--- Returns the milliseconds of a moment.
function arguments.moment(value, what)
  if is_integer(value, 1, LATEST) then return value end
  local moment = type(value) == "string" and units.moment(value)
  if moment and moment >= 1 then return moment end
  error(('%s takes milliseconds since 1970, or a moment as "2026-01-31T12:00:00Z", got %s'):format(what,
    shown(value)), 3)
end

--- Raises unless `value` is a string.
function arguments.path(value, what)
  if type(value) ~= "string" then error(("%s takes the path of a file, got %s"):format(what, shown(value)), 3) end
end

-- The place of a topic among those that are read into one state, from 0; nil is the first one.
local function topic_place(topic, topics)
  if topic == nil then return 0 end
  for i, name in ipairs(topics) do
    if name == topic then return i - 1 end
  end
  error(('a message to feed has the topic %s; the pipeline reads "%s" into one state'):format(shown(topic),
    table.concat(topics, '", "')), 4)
end

--- Returns the fields of a message to feed, `partition` as its index in the source. A field that cannot be fed is an
--- error, since it would be lost silently.
function arguments.message(message, partitions, topics)
  if type(message) == "string" then message = { value = message } end
  if type(message) ~= "table" then
    error("a message to feed is a string or a table, not " .. check.shown(message), 3)
  end
  for name in pairs(message) do
    if not FEEDABLE[name] then
      error(('a message to feed has no field "%s"; it has value, key, headers, timestamp, partition, topic')
        :format(tostring(name)), 3)
    end
  end
  return {
    value = check.bytes_or_null("value", message.value),
    key = check.bytes_or_null("key", message.key),
    headers = message.headers ~= nil and header_codec.list(message.headers, 3) or nil,
    timestamp = check.integer("timestamp", message.timestamp or 0, -1, LATEST),
    partition = check.integer("partition", message.partition or 0, 0, partitions - 1)
      + partitions * topic_place(message.topic, topics),
  }
end

--- Raises unless `steps` is an array without gaps: what follows a gap would not run.
function arguments.steps(steps)
  local wrong = check.not_array(steps)
  if not wrong then return end
  local verb = type(steps) == "table" and "has" or "is"
  error(("testing.steps takes a list of steps, this %s %s"):format(verb, wrong), 3)
end

local function has_texts(list)
  for _, text in ipairs(list) do
    if type(text) ~= "string" then return false end
  end
  return true
end

local OPTIONS = {
  partitions = function(value)
    if not is_integer(value, 1, MOST_PARTITIONS) then
      return ("takes an integer from 1 to %d, got %s"):format(MOST_PARTITIONS, shown(value))
    end
  end,
  topics = function(value)
    local wrong = check.not_array(value)
    local verb = type(value) == "table" and "has" or "is"
    if wrong then return ("takes an array of names, this %s %s"):format(verb, wrong) end
    if not has_texts(value) then return "takes an array of names: each is a string" end
  end,
  set = function(value)
    if type(value) ~= "table" then return "takes a table of values by name, got " .. shown(value) end
  end,
  tables = function(value)
    if type(value) ~= "table" then return "takes a table of rows by the names of tables, got " .. shown(value) end
    for name, rows in pairs(value) do
      if type(name) ~= "string" or type(rows) ~= "table" then
        return ("takes tables of values by key, as { users = { u1 = { name = \"Ann\" } } }; %s is %s"):format(
          tostring(name), shown(rows))
      end
    end
  end,
  settings = function(value)
    if type(value) ~= "table" then return "takes a table of settings of a pipeline, got " .. shown(value) end
  end,
  trust = function(value)
    if value ~= "full" and value ~= "standard" and value ~= "hardened" then
      return 'takes "full", "standard" or "hardened", got ' .. shown(value)
    end
  end,
}

--- Raises unless `options` is nil or a table of those named; returns a table.
function arguments.options(options, what, names)
  if options == nil then return {} end
  if type(options) ~= "table" then error(("%s takes options as a table, got %s"):format(what, shown(options)), 3) end
  for name, value in pairs(options) do
    if not (" " .. names .. " "):find(" " .. tostring(name) .. " ", 1, true) then
      error(('%s has no option "%s"; it has %s'):format(what, tostring(name), (names:gsub(" ", ", "))), 3)
    end
    local wrong = OPTIONS[name](value)
    if wrong then error(("%s: the option %s %s"):format(what, name, wrong), 3) end
  end
  return options
end

return arguments
