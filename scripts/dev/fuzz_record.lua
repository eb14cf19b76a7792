-- SPDX-License-Identifier: MIT
-- scripts/dev/fuzz_record.lua: the table of docs/fuzzing.md, of scripts/fuzz/record.tsv: a line is target, commit,
-- executions, seconds and findings, with tabs between them (`make fuzz RECORD=1` writes it).
local units = require "tidemill.plan.units"

local fuzz_record = {}

local FROM, TO = "<!-- of scripts/fuzz/record.tsv, by `make docs` -->\n", "<!-- end -->\n"

--- Returns the rows, and one { target, executions, seconds, findings, commits } for each target, sorted by its name.
function fuzz_record.sums(text)
  local sums, by_name = {}, {}
  for line in text:gmatch "[^\n]+" do
    local target, commit, executions, seconds, findings = line:match "^([%w_]+)\t([%w-.]+)\t(%d+)\t(%d+)\t(%d+)$"
    assert(target, "scripts/fuzz/record.tsv: no row: " .. line)
    local sum = by_name[target]
    if not sum then
      sum = { target = target, executions = 0, seconds = 0, findings = 0, commits = {} }
      by_name[target], sums[#sums + 1] = sum, sum
    end
    sum.executions, sum.seconds = sum.executions + executions, sum.seconds + seconds
    sum.findings = sum.findings + findings
    sum.commits[#sum.commits + 1] = commit
  end
  table.sort(sums, function(one, other) return one.target < other.target end)
  return sums
end

--- Returns the document with the table of that text.
function fuzz_record.page(page, text)
  local lines = { "| target | executions | a second | findings | at commits |", "|---|---|---|---|---|" }
  for _, sum in ipairs(fuzz_record.sums(text)) do
    lines[#lines + 1] = ("| `%s` | %s | %s | %d | %s |"):format(sum.target, units.show_count(sum.executions),
      units.show_count(math.floor(sum.executions / math.max(1, sum.seconds))), sum.findings,
      table.concat(sum.commits, ", "))
  end
  local _, first = page:find(FROM, 1, true)
  local last = page:find(TO, 1, true)
  assert(first and last, "docs/fuzzing.md: no place for the table")
  return page:sub(1, first) .. table.concat(lines, "\n") .. "\n" .. page:sub(last)
end

return fuzz_record
