-- SPDX-License-Identifier: MIT
-- cli/dlq/selection.lua: is what every dlq command begins with: it finds the source, reads what is remembered of it,
-- and selects the dead letters that the command line names.
local filter = require("tidemill.cli.dlq.filter")
local marks = require("tidemill.cli.dlq.marks")
local source = require("tidemill.cli.dlq.source")
local stderr = require("tidemill.cli.stderr")
local scan = require("tidemill.cli.dlq.scan")
local tide = require("tidemill.run.ffi")

local selection = {}

--- Adds the arguments and flags.
function selection.define(command)
  source.define(command)
  filter.define(command)
end

local function pick(self, parsed)
  local picked, limit = {}, parsed.limit or math.huge
  for _, found in ipairs(self.scan.found) do
    local processed = self.marks:is_processed(found.partition, found.offset)
    if #picked < limit and (parsed.all or not processed) then picked[#picked + 1] = found end
  end
  return picked
end

--- Returns { source, marks, scan, letters }, or nil and the exit code when the reason is printed. `whole` is
--- scan.read's.
function selection.new(parsed, whole)
  tide.C.tide_log_setup("TIDE_LOG_WARN", "TIDE_LOG_TEXT")
  local self = {}
  local reason, code
  self.source, reason, code = source.new(parsed)
  if self.source then self.marks, reason, code = marks.read(self.source) end
  if self.marks then self.scan, reason, code = scan.read(self.source, filter.new(parsed), whole) end
  if not self.scan then
    stderr.failure("%s", reason)
    return nil, code
  end
  if self.scan.broken > 0 then
    stderr.failure("%s: %d of %d records are no dead letters; they are left out", self.source.name, self.scan.broken,
      self.scan.count)
  end
  if self.marks.stranger and self.scan.count > 0 then
    stderr.failure("%s is of another file that had this name before: all dead letters of %s count as new",
      self.marks.stranger, self.source.name)
  end
  self.letters = pick(self, parsed)
  if #self.letters < #parsed.letters then
    stderr.failure("%s: %d of the dead letters named are not there, or not chosen by the flags%s", self.source.name,
      #parsed.letters - #self.letters, parsed.all and "" or ", or were replayed or dropped before (--all)")
  end
  return self
end

--- "3 dead letters"
function selection.count(number)
  return ("%d dead letter%s"):format(number, number == 1 and "" or "s")
end

return selection
