-- SPDX-License-Identifier: MIT
-- cli/plan.lua: tidemill plan FILE
local exit_code = require("tidemill.cli.exit_code")
local load = require("tidemill.plan.load")
local options = require("tidemill.cli.options")
local print = require("tidemill.plan.print")
local say = require("tidemill.cli.say")

local plan = { summary = "Show each step with its effective options, and which of them are defaults." }

function plan.define(command)
  options.file(command)
  options.set(command)
  command:option("--format"):choices({ "text", "dot" }):default("text"):argname("FORMAT")
    :description("text, or dot for Graphviz.")
end

function plan.run(parsed)
  local pipeline, texts, status = load.file(parsed.file, parsed.set)
  if not pipeline then
    say.lines(texts)
    return status
  end
  io.stdout:write(print[parsed.format](pipeline))
  return exit_code.OK
end

return plan
