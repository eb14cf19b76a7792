-- SPDX-License-Identifier: MIT
-- cli/help.lua: tidemill help [COMMAND|STEP] shows help.
local exit_code = require("tidemill.plan.exit_code")
local list = require("tidemill.steps.list")
local nearest = require("tidemill.plan.nearest")
local reference = require("tidemill.cli.reference")
local stderr = require("tidemill.cli.stderr")

local help = { summary = "Show help on a command, or on a step or setting of the pipeline file." }

function help.define(command)
  command:argument("topic"):args("?"):argname("COMMAND|STEP")
    :description("A command (as run), or a step or setting (as kafka_source or dlq). Without it all are listed.")
end

local function overview(context)
  local lines = { context.parser:get_help(), "", "Steps and settings of the pipeline file:" }
  for _, spec in ipairs(list) do
    lines[#lines + 1] = ("   %-30s %s"):format(spec.name, spec.summary)
  end
  return table.concat(lines, "\n") .. "\n"
end

--- Returns all topics of help, for hints and completion.
function help.topics(context)
  local all = {}
  for _, command in ipairs(context.order) do all[#all + 1] = command end
  for _, spec in ipairs(list) do all[#all + 1] = spec.name end
  for short in pairs(list.short_names) do all[#all + 1] = short end
  return all
end

-- Returns the help text, or nil. A command and a setting may have the same name (dlq); then both texts are shown.
local function text_of(topic, context)
  if not topic then return overview(context) end
  local name = topic:gsub("^tide%.", "")
  local command, step = context.commands[topic], list[list.short_names[name] or name]
  local texts = { command and command.command:get_help() .. "\n", step and reference.text(step) }
  if command and step then return table.concat(texts, "\n") end
  return command and texts[1] or step and texts[2] or nil
end

-- True for what functions have at hand (tide.lookup, json), which is no step or setting.
local function is_of_library(topic)
  local name = topic:gsub("^tide%.", ""):match "^[%l_%d]+"
  local known, value = pcall(function() return require("tidemill")[name] end)
  return known and value ~= nil
end

function help.run(parsed, context)
  local text = text_of(parsed.topic, context)
  if not text then
    local refused = list.refused[parsed.topic]
    if not refused and is_of_library(parsed.topic) then
      stderr.failure('"%s" is no command, step or setting, but for functions: docs/library.md tells of it',
        parsed.topic)
      return exit_code.USAGE
    end
    stderr.failure(refused and '"%s" is refused: %s' or 'no command, step or setting "%s"%s', parsed.topic,
      refused or nearest.hint(parsed.topic, help.topics(context)))
    return exit_code.USAGE
  end
  io.stdout:write(text)
  return exit_code.OK
end

return help
