-- SPDX-License-Identifier: MIT
-- cli/state/reset.lua: tidemill state FILE reset --to 0 empties the state, and with it the place in the input.
local confirm = require("tidemill.cli.dlq.confirm")
local exit_code = require("tidemill.plan.exit_code")
local selection = require("tidemill.cli.state.selection")
local stderr = require("tidemill.cli.stderr")
local store = require("tidemill.run.store")

local reset = {
  summary = "Empty the state of a pipeline on files: the next run reads its input from the start.",
  description = "Empty the state of a pipeline on files, all of its states together. The next run reads the input "
    .. "from line 0 and writes its output anew. No other line is possible, since the store has only its latest state.",
}

function reset.define(command)
  command:option("--to"):argname("LINE"):count(1):description("0, the start of the input.")
  confirm.define(command)
end

function reset.run(parsed)
  if parsed.to ~= "0" then
    stderr.failure("--to %s: only 0; the store holds the state at one place of its input, and the state at any other "
      .. "is made by reading from the start", parsed.to)
    return exit_code.USAGE
  end
  local of, code = selection.pipeline(parsed)
  if not of then return code end
  if of.pipeline.steps[1].spec.name == "kafka_source" then
    stderr.failure("%s: reads Kafka; only the state of a pipeline on files is reset by this. Stop it, delete its "
      .. "topics %s.STATE.changelog and its folders state_dir, and set the offsets of its group to the start "
      .. "(docs/state.md)",
      of.pipeline.file, of.name)
    return exit_code.CONFIG
  end
  if not confirm.ask(parsed, ("empty the state of %s in %s"):format(of.name, of.dir)) then return exit_code.USAGE end
  local done, reason, status = store.empty(of.dir, of.name)
  if not done then return select(2, selection.failed(reason, status)) end
  stderr.failure("the state of %s is empty", of.name)
  return exit_code.OK
end

return reset
