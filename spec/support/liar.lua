-- SPDX-License-Identifier: MIT
-- What a worker does that lies: in place of the library's own calls, from within a function of the user. Each lie is a
-- function of the job's output block; it may return, or go on until the worker is killed.
local ffi = require "ffi"
local C = require("tidemill.run.ffi").C

ffi.cdef "int poll(void *descriptors, unsigned long count, int timeout_ms);"
pcall(ffi.cdef, "long send(int socket, const void *bytes, size_t size, int flags);")

local liar = {}

--- Records of each batch.
liar.SIZE = 64
local HEAD, DONTWAIT = ffi.sizeof "struct tide_output", 0x40
local LONG_MS = 20 -- the engine looks at a worker that runs every 5 ms
local SEEN_MS = 5000 -- and kills one that it has found to lie

--- A local variable of one of the callers (the loop, run/runner.lua, run/worker.lua).
function liar.found(name)
  for level = 2, 40 do
    for i = 1, 200 do
      local local_name, value = debug.getlocal(level, i)
      if not local_name then break end
      if local_name == name then return value end
    end
  end
  error("no local " .. name)
end

function liar.pause(milliseconds)
  ffi.C.poll(nil, 0, milliseconds)
end

--- For ever, with its block spoilt all the time.
function liar.go_on_spoiling(output)
  while true do
    for i = 0, 500 do
      ffi.cast("uint64_t *", output)[i] = 0x4141414141414141ULL
    end
    liar.pause(1)
  end
end

-- As the library does it, but for `set`: fields of the report.
local function report(set)
  local job = liar.found "job"
  local sent = ffi.new("struct tide_job_report", { number = job.number, generation = job.generation })
  for name, value in pairs(set or {}) do sent[name] = value end
  C.tide_worker_running(job.output, C.TIDE_RUNNING_NOT)
  liar.send(sent, ffi.sizeof(sent))
end

--- To the engine: on each socket that there is, among them the worker's own.
function liar.send(bytes, size)
  for fd = 3, 60 do ffi.C.send(fd, bytes, size, DONTWAIT) end
end

--- On the first socket only: in the zygote that is its own, which was made before those of the workers.
function liar.send_first(bytes, size)
  for fd = 3, 60 do
    if ffi.C.send(fd, bytes, size, DONTWAIT) >= 0 then return end
  end
end

--- Says that the job is over, with false numbers.
function liar.reports(set, next, bytes)
  return function(output)
    if next then C.tide_worker_publish(output, next, bytes or 0) end
    report(set)
    liar.pause(SEEN_MS) -- so that the engine sees that first
    liar.go_on_spoiling(output)
  end
end

local RESULT = { size = 48, kind = C.TIDE_RESULT_MESSAGE, value_length = 4, key_length = -1, topic = 65535,
  partition = -1, timestamp = -1 }

--- Leaves results with these fields (of struct tide_result) one after another, each with 8 bytes, and says that all is
--- done; the last one has the bytes of `tail`. Without an index they are of the first record of the job. What goes on
--- is `after`, in place of spoiling the block.
function liar.leaves(list, tail, after)
  return function(output)
    local job = liar.found "job"
    local at = ffi.cast("char *", output) + HEAD
    for _, set in ipairs(list) do
      local fields = { index = job.first }
      for name, value in pairs(RESULT) do fields[name] = value end
      for name, value in pairs(set) do fields[name] = value end
      ffi.cast("struct tide_result *", at)[0] = fields
      if tail then ffi.copy(at + 40, tail, #tail) end
      at = at + 48
    end
    C.tide_worker_publish(output, job["end"], 48 * #list)
    report()
    if after then after() end
    liar.pause(SEEN_MS)
    liar.go_on_spoiling(output)
  end
end

--- Sends messages of its own making before the report: { type, fields, size = of the message, times = 1 }.
function liar.sends(messages)
  return function(output)
    local generation = liar.found("job").generation
    for _, one in ipairs(messages) do
      local message = ffi.new(one[1])
      if one[2] then
        message.generation = generation
        if one[1] == "struct tide_job_report" then message.number = liar.found("job").number end
        for name, value in pairs(one[2]) do message[name] = value end
      end
      for _ = 1, one.times or 1 do liar.send(message, one.size or ffi.sizeof(message)) end
    end
    liar.pause(SEEN_MS)
    liar.go_on_spoiling(output)
  end
end

--- Publishes one place after the other, { next, running }, with time for the engine to look at each.
function liar.publishes(...)
  local places = { ... }
  return function(output)
    while true do -- a busy engine may not see each
      for _, place in ipairs(places) do
        C.tide_worker_publish(output, place[1], 0)
        C.tide_worker_running(output, place[2])
        liar.pause(LONG_MS)
      end
    end
  end
end

--- The ranges of memory that this process has mapped of blocks: { first, last, writable }.
function liar.mappings()
  local list = {}
  for line in io.lines "/proc/self/maps" do
    local first, last, rights = line:match "^(%x+)%-(%x+) (%S+).*memfd:tidemill%-block"
    if first then
      list[#list + 1] = { first = tonumber(first, 16), last = tonumber(last, 16), writable = rights:sub(2, 2) == "w" }
    end
  end
  return list
end

--- Touches all pages that it may write.
function liar.touches_all(output)
  for _, range in ipairs(liar.mappings()) do
    for at = range.first, range.writable and range.last - 1 or 0, 4096 do
      local page = ffi.cast("char *", at)
      page[4000] = 1
    end
  end
  while output do liar.pause(10) end
end

return liar
