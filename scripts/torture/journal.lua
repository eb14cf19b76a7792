-- SPDX-License-Identifier: MIT
-- The journal is one file into which the workers and the checker write what happened: lines "TIME RUN EVENT PID ID".
-- TIME is in milliseconds of the wall clock, as the broker's append times are; RUN is one life of an engine ("-" =
-- none); PID or ID is 0 where there is none. Each line is appended by one write, so that a writer may die at any
-- moment.
local ffi = require "ffi"

pcall(ffi.cdef, "struct tide_journal_time { long seconds, nanoseconds; };")
pcall(ffi.cdef, "int getpid(void);")
pcall(ffi.cdef, "int clock_gettime(int clock, void *time);")

local journal = {}
local REALTIME = 0
local time = ffi.new "struct tide_journal_time"

--- Milliseconds of the wall clock.
function journal.now()
  ffi.C.clock_gettime(REALTIME, ffi.cast("void *", time))
  return tonumber(time.seconds) * 1e3 + tonumber(time.nanoseconds) / 1e6
end

function journal.write(path, run, event, pid, id)
  local file = assert(io.open(path, "a"))
  file:write(("%.3f %s %s %d %d\n"):format(journal.now(), run, event, pid or ffi.C.getpid(), id or 0))
  file:close()
end

function journal.parse(line)
  local at, run, event, pid, id = line:match("^(%S+) (%S+) (%S+) (%d+) (%d+)$")
  return at and { time = tonumber(at), run = run, event = event, pid = tonumber(pid), id = tonumber(id), line = line }
end

--- All entries, ordered by time: { time =, run =, event =, pid =, id =, line = }.
function journal.read(path)
  local entries = {}
  for line in io.lines(path) do entries[#entries + 1] = journal.parse(line) end
  table.sort(entries, function(a, b) return a.time < b.time end)
  return entries
end

return journal
