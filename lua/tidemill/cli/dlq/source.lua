-- SPDX-License-Identifier: MIT
-- cli/dlq/source.lua: finds where dead letters are: the dlq of a pipeline file, a dead-letter file, or a topic.
--
-- A source: kind ("topic", "file"), name (of the topic, or the path), read and write (librdkafka properties, with
-- secrets unresolved: where the dead letters are, and where their messages came from; nil = not known), timeout_us.
local connection = require("tidemill.plan.connection")
local exit_code = require("tidemill.plan.exit_code")
local plan = require("tidemill.plan.plan")

local source = {}

local TIMEOUT_US = 30e6

--- Adds the arguments and flags.
function source.define(command)
  command:argument("source"):argname("SOURCE")
    :description("Where the dead letters are: a pipeline file (PIPELINE.lua: its dlq), a dead-letter file, or with "
      .. "--brokers a topic.")
  command:option("--brokers"):argname("HOST:PORT")
    :description("The cluster, when SOURCE is no pipeline file; one that wants TLS or SASL needs a pipeline file.")
  require("tidemill.cli.options").set(command)
end

local function is_file(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

local function of_pipeline(parsed)
  local checked, texts, status = plan.load(parsed.source, { set = parsed.set })
  if not checked then return nil, table.concat(texts, "\n"), status end
  local dlq = checked.tables.dlq
  if dlq.kind == "TIDE_DLQ_NONE" then return nil, parsed.source .. ": the pipeline has no dlq", exit_code.CONFIG end
  if dlq.target == "-" then
    return nil, parsed.source .. ": its dead letters go to standard error, which keeps none", exit_code.CONFIG
  end
  local sides = connection.dead_letters(checked.tables)
  return { kind = dlq.kind == "TIDE_DLQ_TOPIC" and "topic" or "file", name = dlq.target, read = sides.read,
    write = sides.write, timeout_us = checked.tables.broker_timeout_us }
end

--- Returns the source that the command line names, or nil, the reason and the exit code.
function source.new(parsed)
  if parsed.source:find("%.lua$") then return of_pipeline(parsed) end
  local brokers = parsed.brokers and { { name = "bootstrap.servers", value = parsed.brokers } }
  local kind = is_file(parsed.source) and "file" or "topic"
  if kind == "topic" and not brokers then
    return nil, ('"%s" is no file; if it is a topic, say --brokers HOST:PORT'):format(parsed.source),
      exit_code.NO_INPUT
  end
  return { kind = kind, name = parsed.source, read = brokers, write = brokers, timeout_us = TIMEOUT_US }
end

--- Returns { read, write } with the secrets in them, or nil, the reason and the exit code. No engine may be forked
--- after this: its worker would have them.
function source.fetch(self)
  local fetched, reason = connection.fetch { read = self.read, write = self.write }
  if not fetched then return nil, reason, exit_code.CONFIG end
  return fetched
end

return source
