-- SPDX-License-Identifier: MIT
-- plan/connection.lua: makes the librdkafka properties of source and sink. Secrets are fetched here, at the last
-- moment, and only the engine sees them.
local keyed = require("tidemill.plan.keyed")
local secret = require("tidemill.plan.secret")
local tide = require("tidemill.run.ffi")

local connection = {}

-- True for properties that say how a cluster is reached, and as whom.
local function is_security(name)
  return name:find("^security%.") or name:find("^sasl%.") or name:find("^ssl%.") or name:find("^enable%.ssl%.")
    or name:find("^enable%.sasl%.")
end

-- The mock cluster always waits this long before an empty answer; the default is 500 ms.
local MOCK_FETCH = { name = "fetch.wait.max.ms", value = "10" }

local function named(properties)
  local names = {}
  for _, property in ipairs(properties) do names[property.name] = true end
  return names
end

local function source_properties(tables)
  local properties = { { name = "bootstrap.servers", value = tables.brokers } }
  for _, property in ipairs(tables.source_properties) do properties[#properties + 1] = property end
  return properties
end

-- Without brokers of its own the sink reaches the cluster as the source does.
local function sink_properties(tables)
  local properties = { { name = "bootstrap.servers", value = tables.sink_brokers or tables.brokers } }
  local own = named(tables.sink_properties)
  for _, property in ipairs(tables.sink_properties) do properties[#properties + 1] = property end
  if tables.sink_brokers then return properties end
  for _, property in ipairs(tables.source_properties) do
    if is_security(property.name) and not own[property.name] then properties[#properties + 1] = property end
  end
  return properties
end

-- Returns the properties that say where a cluster is, and as whom it is reached; nil when no brokers are known.
local function reach(properties)
  local kept = {}
  for _, property in ipairs(properties) do
    if property.name == "bootstrap.servers" or is_security(property.name) then kept[#kept + 1] = property end
  end
  return properties[1].value and kept or nil
end

--- Returns the lists, with secrets unresolved; a side that is no Kafka has an empty one. "tables" is there if there are
--- some, "changelog" where state is kept. `brokers` are those of the mock cluster, which takes no security.
function connection.properties(tables, brokers)
  local sides = { source = {}, sink = {} }
  if tables.source.medium == "TIDE_MEDIUM_KAFKA" then
    sides.source = source_properties(tables)
    if keyed.keeps_state(tables) then sides.changelog = reach(sides.source) end
  end
  for _, item in ipairs(tables.topic_tables or {}) do
    if item.topic then sides.tables = source_properties(tables) end
  end
  -- A dlq topic has a producer, whatever the results are written to.
  if tables.sink.medium == "TIDE_MEDIUM_KAFKA" or tables.dlq.kind == "TIDE_DLQ_TOPIC" then
    sides.sink = sink_properties(tables)
  end
  if not brokers then return sides end
  for side, properties in pairs(sides) do
    local kept = {}
    for _, property in ipairs(properties) do
      local value = property.name == "bootstrap.servers" and brokers or property.value
      if not is_security(property.name) then kept[#kept + 1] = { name = property.name, value = value } end
    end
    sides[side] = kept
  end
  if #sides.source > 0 then table.insert(sides.source, MOCK_FETCH) end
  return sides
end

--- Fetches the secrets of all sides: the same with them resolved, or nil and the reason when one cannot be had. From
--- the first one on nobody else may look into this process.
function connection.fetch(sides)
  local fetched = {}
  for side, properties in pairs(sides) do
    fetched[side] = {}
    for i, property in ipairs(properties) do
      local value, reason = property.value, nil
      if secret.is(value) then
        tide.C.tide_secret_hold()
        value, reason = value:resolve()
      end
      if value and secret.is_key_file(property.name) then reason = secret.check_file(value) end
      if reason then return nil, reason end
      fetched[side][i] = { name = property.name, value = value }
    end
  end
  return fetched
end

--- Returns of the lists the properties that do not depend on a cluster, so that `check` can try them without one.
function connection.settings(tables)
  local sides = connection.properties(tables)
  for side, properties in pairs(sides) do
    sides[side] = {}
    for _, property in ipairs(properties) do
      local of_cluster = secret.is(property.value) or is_security(property.name)
        or property.name == "bootstrap.servers" or property.name == "metadata.broker.list"
      if not of_cluster then table.insert(sides[side], property) end
    end
  end
  return sides
end

--- Returns the lists as the engine takes them, or nil and the reason.
function connection.resolve(tables, brokers)
  return connection.fetch(connection.properties(tables, brokers))
end

--- Returns for the dlq commands { read = where the dlq's topic is, write = where the messages came from }, with secrets
--- unresolved. A side without brokers is absent.
function connection.dead_letters(tables)
  local sink = reach(sink_properties(tables))
  local from_kafka = tables.source.medium == "TIDE_MEDIUM_KAFKA"
  return { read = sink, write = from_kafka and reach(source_properties(tables)) or sink }
end

return connection
