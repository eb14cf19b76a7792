-- SPDX-License-Identifier: MIT
-- plan/keyed.lua: what steps that keep state (tide.keyed) ask of a plan.
local keyed = {}

--- Returns true when a step of the plan table keeps state.
function keyed.keeps_state(tables)
  for _, step in ipairs(tables.steps) do
    if step.states then return true end
  end
  return false
end

--- Returns true when topics are read into one state: partition P of each of them belongs to partition P of the state.
function keyed.joins(tables)
  local topics = tables.source.topics or {}
  for _, topic in ipairs(topics) do
    if topic:find("^%^") then return false end
  end
  return #topics > 1 and keyed.keeps_state(tables)
end

--- State is stored with each commit, also where the source keeps no positions.
function keyed.plan(tables)
  tables.source.together = keyed.joins(tables)
  if keyed.keeps_state(tables) and not tables.commit.enabled then
    tables.commit = { enabled = true, min_time_us = 1e6, min_messages = 0 }
  end
end

--- A run for a test or a trial leaves no state behind.
function keyed.forget(tables)
  tables.state_dir = nil
end

--- The topic that is the changelog of a state (engine/chain/changelog_record.h).
function keyed.changelog(pipeline, state)
  return ("%s.%s.changelog"):format(pipeline.name, state)
end

--- The topics of all changelogs of a plan that reads Kafka.
function keyed.changelogs(tables)
  local topics = {}
  for _, step in ipairs(tables.source.medium == "TIDE_MEDIUM_KAFKA" and tables.state_dir and tables.steps or {}) do
    for _, state in ipairs(step.states or {}) do topics[#topics + 1] = keyed.changelog(tables, state) end
  end
  return topics
end

local LONGEST = 249 -- characters of a topic's name

local function kafka_faults(pipeline, tables, step, fault)
  for _, topic in ipairs(tables.source.topics) do
    if topic:find("^%^") then
      fault(step, "state needs a kafka_source whose topics have names, not a pattern: its changelog has as many "
        .. "partitions as each of them")
    end
  end
  for _, property in ipairs(tables.source_properties) do
    local name, value = property.name, property.value
    if tables.source.together and ((name == "partition.assignment.strategy" and value ~= "range")
      or (name == "group.protocol" and value ~= "classic")) then
      fault(step, 'the state of several topics needs partition.assignment.strategy = "range" (it is so by itself), '
        .. 'which gives the same partitions of all of them to one engine; the librdkafka property "%s" is "%s"', name,
        tostring(value))
    end
  end
  for _, state in ipairs(step.values.state or {}) do
    local topic = keyed.changelog(pipeline, state)
    if topic:find("[^%w._-]") or #topic > LONGEST then
      fault(step, 'its changelog would be the topic "%s", which no topic may be called: name the pipeline by letters, '
        .. 'digits, "_", "." and "-"', topic)
    end
    for _, written in ipairs(tables.sink.topics or {}) do
      if written == topic then fault(step, 'its changelog is the topic "%s", which produce writes too', topic) end
    end
  end
end

--- Returns the texts of what is wrong with the pipeline; `tables` is its plan table.
function keyed.faults(pipeline, tables)
  local texts, names, reduced = {}, {}, nil
  local function fault(step, text, ...)
    local where = step and step.declaration or pipeline.declaration
    texts[#texts + 1] = ("%s:%d: %s: "):format(pipeline.file, where.line or 0, step and step.name or "pipeline")
      .. text:format(...)
  end
  for _, step in ipairs(pipeline.steps) do
    if step.spec.role == "state" then reduced = reduced or step.name end
    if step.spec.role == "keyed" then
      local medium = tables.source.medium
      if medium == "TIDE_MEDIUM_KAFKA" then kafka_faults(pipeline, tables, step, fault) end
      if not pipeline.settings.values.state_dir
        and (medium == "TIDE_MEDIUM_FILE" or medium == "TIDE_MEDIUM_KAFKA") then
        fault(step, 'needs the setting state_dir of the pipeline, as state_dir = "state"')
      end
      local late, topics = step.values.late, " " .. table.concat(tables.sink.topics or {}, " ") .. " "
      if late and late ~= "drop" and not topics:find(" " .. late .. " ", 1, true) then
        fault(step, 'option "late" = "%s": the topic is none of produce; name it there: topics = { "%s" }', late, late)
      end
      if reduced then fault(step, "stands behind %s, whose results have no single offset; put it before", reduced) end
      for _, name in ipairs(step.values.state or {}) do
        if names[name] then fault(step, 'option "state" = "%s": another step has this state', name) end
      end
      for _, name in ipairs(step.values.state or {}) do names[name] = true end
    end
  end
  return texts
end

return keyed
