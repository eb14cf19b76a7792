-- SPDX-License-Identifier: MIT
-- cli/plan.lua: tidemill plan FILE shows the plan without running it.
local exit_code = require("tidemill.plan.exit_code")
local pipeline_file = require("tidemill.plan.pipeline_file")
local options = require("tidemill.cli.options")
local print = require("tidemill.plan.print")
local stderr = require("tidemill.cli.stderr")

local plan = { summary = "Show each step with its effective options, and which of them are defaults." }

function plan.define(command)
  options.file(command)
  options.set(command)
  command:option("--format"):choices({ "text", "dot" }):default("text"):argname("FORMAT")
    :description("text, or dot for Graphviz.")
end

function plan.run(parsed)
  local pipeline, texts, status = pipeline_file.load(parsed.file, parsed.set)
  if not pipeline then
    stderr.lines(texts)
    return status
  end
  io.stdout:write(print[parsed.format](pipeline))
  return exit_code.OK
end

return plan
