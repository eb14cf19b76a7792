-- SPDX-License-Identifier: MIT
-- cli/dlq/drop.lua: tidemill dlq drop SOURCE marks dead letters as processed that are not wanted any more.
local selection = require("tidemill.cli.dlq.selection")
local confirm = require("tidemill.cli.dlq.confirm")
local exit_code = require("tidemill.plan.exit_code")
local output = require("tidemill.cli.dlq.output")
local stderr = require("tidemill.cli.stderr")

local drop = {
  summary = "Mark dead letters as processed, without replaying them.",
  description = "Mark dead letters as processed: list, show and replay skip them from then on (--all shows them). "
    .. "Nothing is deleted: a topic keeps them as long as it keeps its records, a file until somebody deletes it.",
}

function drop.define(command)
  selection.define(command)
  output.define(command)
  command:flag("--dry-run"):description("Only list the dead letters that would be dropped.")
  confirm.define(command)
end

local function write(chosen)
  local dropped = {}
  for _, found in ipairs(chosen.letters) do dropped[found.partition .. "/" .. found.offset] = true end
  local marks = chosen.marks
  local result, reason = marks:with(chosen.scan.seen, function(partition, offset)
    return dropped[partition .. "/" .. offset] == true
  end)
  if not result then return exit_code.USAGE, reason end
  local opened, written
  opened, reason = marks:open()
  if opened then written, reason = marks:write(result) end
  marks:close()
  if not written then return exit_code.TEMPORARY, reason end
  return exit_code.OK
end

function drop.run(parsed)
  local chosen, code = selection.new(parsed)
  if not chosen then return code end
  local what = ("%s of %s"):format(selection.count(#chosen.letters), chosen.source.name)
  if parsed.dry_run then
    output.list(chosen.letters, parsed.format)
    stderr.failure("would drop %s", what)
    return exit_code.OK
  end
  if #chosen.letters > 0 and not confirm.ask(parsed, "drop " .. what) then return exit_code.USAGE end
  local reason
  code, reason = write(chosen)
  stderr.failure("%s", reason or "dropped " .. what)
  return code
end

return drop
