-- SPDX-License-Identifier: MIT
-- The end of `make demo`: luajit demo_table.lua EVENTS FOLDER. Checks that the report and the output account for every
-- event, and prints what happened as a table.
local cjson = require "cjson"

local events, folder = tonumber(arg[1]), arg[2]

local function fail(...)
  io.stderr:write("demo: ", string.format(...), "\n")
  os.exit(70)
end

local function read_report(path)
  local file = io.open(path, "r")
  if not file then fail("no report at %s", path) end
  local report = cjson.decode(file:read("*a"))
  file:close()
  return report
end

-- Number of lines, and the first two.
local function read_output(path)
  local count, first = 0, {}
  for line in io.lines(path) do
    count = count + 1
    if count <= 2 then first[count] = line end
  end
  return count, first
end

local function check(report, lines)
  if report.read ~= events then fail("%d of %d events were read", report.read, events) end
  local accounted = report.produced_from + report.filtered + report.dead_lettered
  if accounted ~= events then fail("%d of %d events are accounted for", accounted, events) end
  if lines ~= report.produced then fail("%d messages produced, but %d lines came out", report.produced, lines) end
  if lines == 0 then fail("nothing came out") end
end

local function batch_sizes(report)
  local size = report.metrics["strategies.run_task_with_multiprocessing.batch.size.msg"]
  if not size or size.count == 0 then return "-" end
  return ("%d batches, %.0f messages on average, half up to %.0f, the largest %.0f"):format(size.count,
    size.sum / size.count, size.p50, size.max)
end

local report = read_report(folder .. "/report.json")
local lines, first = read_output(folder .. "/out.jsonl")
check(report, lines)
local rows = {
  { "read", ("%d"):format(report.read) },
  { "produced", ("%d"):format(report.produced) },
  { "filtered", ("%d"):format(report.filtered) },
  { "dead-lettered", ("%d"):format(report.dead_lettered) },
  { "messages/s", ("%.0f"):format(report.read / report.seconds) },
  { "seconds", ("%.2f"):format(report.seconds) },
  { "batches", batch_sizes(report) },
}
print()
for _, row in ipairs(rows) do
  print(("  %-14s %s"):format(row[1], row[2]))
end
print("\nThe first two messages that came out:\n")
print("  " .. table.concat(first, "\n  "))
print(("\nAll %d events are accounted for. Change scripts/clean_events.lua and try again."):format(events))
