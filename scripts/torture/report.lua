-- SPDX-License-Identifier: MIT
-- Puts rows into docs/torture.md, which has one for each part and mode, of the last run that was told to write it. All
-- else of the document stays as it is.
local checker = require "scripts.torture.checker"
local recovery = require "scripts.torture.recovery"

local report = {}

local COLUMNS = { "part", "mode", "seed", "commit", "faults", "messages", "lost", "again", "misplaced", "wrong",
  "order", "misattributed", "unknown", "worker ms", "engine ms", "seconds" }

local function commit()
  local pipe = assert(io.popen("git describe --always --dirty 2>/dev/null"))
  local text = pipe:read("*l") or "unknown"
  pipe:close()
  return text
end

local function percentiles(list)
  if #list == 0 then return "-" end
  return ("%.0f / %.0f (%d)"):format(recovery.percentile(list, 0.5), recovery.percentile(list, 0.99), #list)
end

local function counted(injected)
  local names, parts = {}, {}
  for name in pairs(injected) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do parts[#parts + 1] = injected[name] .. " " .. name end
  return table.concat(parts, ", ")
end

local function line_of(cells)
  return "| " .. table.concat(cells, " | ") .. " |"
end

--- The cells of a run's row. run: part, mode, seed, struck, findings, workers, engines (times), seconds.
function report.row(run)
  local counts = run.findings.counts
  local wrong = counts.wrong_outcome + counts.wrong_payload + counts.wrong_count
  local cells = { run.part, run.mode, run.seed, commit(), counted(run.injected), run.findings.input_count, counts.lost,
    counts.duplicated, counts.misplaced, wrong, counts.wrong_order, counts.misattributed, counts.unknown,
    percentiles(run.workers), percentiles(run.engines), math.floor(run.seconds) }
  for i, cell in ipairs(cells) do cells[i] = tostring(cell) end
  return line_of(cells)
end

-- The lines of the document without its rows, the rows but for those that begin with `own`, and the index of the line
-- that the rows stand behind. A document that is not there yet is the table's head.
local function read(path, own)
  local lines, rows, head = {}, {}, nil
  local file = io.open(path)
  for line in file and file:lines() or function() end do
    if not line:find "^| %w+ | [%w_]+ | %d" then
      lines[#lines + 1] = line
      local before = lines[#lines - 1]
      head = head or before == line_of(COLUMNS) and #lines -- other tables stand before it
    elseif line:sub(1, #own) ~= own then
      rows[#rows + 1] = line
    end
  end
  if file then file:close() end
  if not head then
    lines[#lines + 1] = line_of(COLUMNS)
    lines[#lines + 1] = ("|---"):rep(#COLUMNS) .. "|"
  end
  return lines, rows, head or #lines
end

--- Puts the row of a run into the document, in place of the one of the same part and mode.
function report.write(path, run)
  local lines, rows, head = read(path, ("| %s | %s |"):format(run.part, run.mode))
  rows[#rows + 1] = report.row(run)
  table.sort(rows)
  lines[head] = lines[head] .. "\n" .. table.concat(rows, "\n")
  local file = assert(io.open(path, "w"))
  file:write(table.concat(lines, "\n"), "\n")
  file:close()
end

--- What failed, as lines, with the histories of the first few ids; none when nothing did. `problems` are texts.
function report.failures(findings, problems, entries)
  local lines = {}
  for _, problem in ipairs(problems) do lines[#lines + 1] = "FAILED: " .. problem end
  for _, what in ipairs(findings:failures()) do
    lines[#lines + 1] = ("FAILED: %s: %d"):format(what, findings.counts[what])
    for _, one in ipairs(findings.named[what]) do
      lines[#lines + 1] = " id " .. one.id
      for _, line in ipairs(findings:history(one.id, entries)) do lines[#lines + 1] = line end
    end
  end
  return lines
end

--- One line for the terminal.
function report.summary(run)
  local parts = { ("%d messages"):format(run.findings.input_count) }
  for _, what in ipairs(checker.FAULTS) do parts[#parts + 1] = what .. " " .. run.findings.counts[what] end
  return ("%s, %s, seed %d, %d s: %s; workers back after %s ms, engines after %s ms (p50 / p99); %s"):format(run.part,
    run.mode, run.seed, run.seconds, table.concat(parts, ", "), percentiles(run.workers), percentiles(run.engines),
    counted(run.injected))
end

return report
