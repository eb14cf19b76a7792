-- SPDX-License-Identifier: MIT
-- cli/dlq/drop.lua: tidemill dlq drop SOURCE marks dead letters as processed that are not wanted any more.
local choice = require("tidemill.cli.dlq.choice")
local confirm = require("tidemill.cli.dlq.confirm")
local exit_code = require("tidemill.cli.exit_code")
local output = require("tidemill.cli.dlq.output")
local say = require("tidemill.cli.say")

local drop = {
  summary = "Mark dead letters as processed, without replaying them.",
  description = "Mark dead letters as processed: list, show and replay pass over them from then on (--all shows "
    .. "them). Nothing is deleted: a topic keeps them as long as it keeps its records, a file until "
    .. "somebody deletes it.",
}

function drop.define(command)
  choice.define(command)
  output.define(command)
  command:flag("--dry-run"):description("Only list those that would be dropped.")
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
  local chosen, code = choice.new(parsed)
  if not chosen then return code end
  local words = ("%s of %s"):format(choice.count(#chosen.letters), chosen.place.name)
  if parsed.dry_run then
    output.list(chosen.letters, parsed.format)
    say.failure("would drop %s", words)
    return exit_code.OK
  end
  if #chosen.letters > 0 and not confirm.ask(parsed, "drop " .. words) then return exit_code.USAGE end
  local reason
  code, reason = write(chosen)
  say.failure("%s", reason or "dropped " .. words)
  return code
end

return drop
