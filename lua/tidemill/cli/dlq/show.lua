-- SPDX-License-Identifier: MIT
-- cli/dlq/show.lua: tidemill dlq show SOURCE [LETTER...] prints dead letters whole.
local selection = require("tidemill.cli.dlq.selection")
local exit_code = require("tidemill.plan.exit_code")
local output = require("tidemill.cli.dlq.output")
local stderr = require("tidemill.cli.stderr")

local show = {
  summary = "Show dead letters whole: error, traceback, headers, key, value.",
  description = "Show dead letters whole. Bytes that are no text appear as \\xNN; --value writes them as they are.",
}

function show.define(command)
  selection.define(command)
  command:option("--format"):argname("FORMAT"):choices({ "text", "json" })
    :description("text, or json (an object a line; key, value and headers in base64).")
  command:flag("--value"):description("Write only the value, as its bytes are; exactly one dead letter must be chosen.")
end

function show.run(parsed)
  if #parsed.letters > 0 then parsed.all = true end -- named ones are meant
  local chosen, code = selection.new(parsed, true)
  if not chosen then return code end
  local letters = chosen.letters
  if parsed.value and #letters ~= 1 then
    stderr.failure("--value: needs one dead letter, and %d are chosen", #letters)
    return exit_code.USAGE
  end
  if parsed.value then io.stdout:write(letters[1].value or "") else output.show(letters, parsed.format) end
  return #letters == 0 and #parsed.letters > 0 and exit_code.NO_INPUT or exit_code.OK
end

return show
