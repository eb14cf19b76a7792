-- SPDX-License-Identifier: MIT
-- cli/help.lua: tidemill help [VERB|WORD]
local exit_code = require("tidemill.cli.exit_code")
local list = require("tidemill.steps.list")
local nearest = require("tidemill.plan.nearest")
local reference = require("tidemill.cli.reference")
local say = require("tidemill.cli.say")

local help = { summary = "Show help on a verb, or on a word of the pipeline file." }

function help.define(command)
  command:argument("topic"):args("?"):argname("VERB|WORD")
    :description("A verb (as run) or a word (as kafka_source); nothing lists both.")
end

local function overview(context)
  local lines = { context.parser:get_help(), "", "Words of the pipeline file:" }
  for _, spec in ipairs(list) do
    lines[#lines + 1] = ("   %-30s %s"):format(spec.word, spec.summary)
  end
  return table.concat(lines, "\n") .. "\n"
end

--- All that one can ask for, for hints and completion.
function help.topics(context)
  local all = {}
  for _, verb in ipairs(context.order) do all[#all + 1] = verb end
  for _, spec in ipairs(list) do all[#all + 1] = spec.word end
  return all
end

-- The text, or nil. A verb may be a word too (dlq): then both.
local function text_of(topic, context)
  if not topic then return overview(context) end
  local verb, word = context.verbs[topic], list[topic:gsub("^tide%.", "")]
  local texts = { verb and verb.command:get_help() .. "\n", word and reference.text(word) }
  if verb and word then return table.concat(texts, "\n") end
  return verb and texts[1] or word and texts[2] or nil
end

function help.run(parsed, context)
  local text = text_of(parsed.topic, context)
  if not text then
    local refused = list.refused[parsed.topic]
    say.failure(refused and '"%s" is refused: %s' or 'no verb or word "%s"%s', parsed.topic,
      refused or nearest.hint(parsed.topic, help.topics(context)))
    return exit_code.USAGE
  end
  io.stdout:write(text)
  return exit_code.OK
end

return help
