-- SPDX-License-Identifier: MIT
-- cli/check.lua: tidemill check FILE finds everything that `run` would refuse, without reading a message.
local advice = require("tidemill.plan.advice")
local connection = require("tidemill.plan.connection")
local engines = require("tidemill.plan.engines")
local exit_code = require("tidemill.plan.exit_code")
local options = require("tidemill.cli.options")
local plan = require("tidemill.plan.plan")
local broker_check = require("tidemill.cli.broker_check")
local stderr = require("tidemill.cli.stderr")
local tide = require("tidemill.run.ffi")
local trust = require("tidemill.cli.trust")

local check = {
  summary = "Check a pipeline file and its transforms; no message is read.",
  description = "Check a pipeline file: steps, settings, options, and that the transforms load. Warn of what is "
    .. "legal but unwise. Say what functions may do (trust). No message is read or written.",
}

function check.define(command)
  options.file(command)
  options.set(command)
  options.trust(command)
  command:flag("--connect"):description("Also connect to the brokers that run will "
    .. "need, and check topics, their settings, and permissions.")
end

-- Loads the transforms as `run` would, in a zygote that then ends, and has librdkafka make clients of the properties.
local function try(checked)
  checked.warn = stderr.line
  local engine, text, status = require("tidemill.run.engine").new(checked)
  if not engine then return text, -status end
  local taken
  taken, text, status = engine:try(connection.settings(checked.tables))
  engine:free()
  if not taken then return checked.file .. ": " .. text, -status end
end

function check.run(parsed)
  local checked, texts, status = plan.load(parsed.file, { set = parsed.set, trust = parsed.trust, engines = true })
  if not checked then
    stderr.lines(texts)
    return status
  end
  stderr.lines(advice.about(checked.pipeline, checked.tables.source.own_topics))
  tide.C.tide_log_setup("TIDE_LOG_WARN", "TIDE_LOG_TEXT") -- librdkafka remarks that it knows no brokers yet
  local text, failed = try(checked)
  texts = { text }
  if not text and parsed.connect then texts, failed = broker_check.connect(checked) end
  if failed then
    stderr.lines(texts)
    return failed
  end
  local several = engines.text(checked)
  if several then io.stdout:write(parsed.file, ": ", several, "\n") end
  io.stdout:write(parsed.file, ": ", trust.text(checked), "\n", parsed.file, ": good\n")
  return exit_code.OK
end

return check
