-- SPDX-License-Identifier: MIT
-- What it costs to be watched: exporting, advising and automatic sizes on against off, in process, without a Kafka
-- (whose noise is larger). Runs alternate; the ratio is the median of the ratios of two neighbours. Then what the
-- observer takes of the engine's thread, and how long scrapes take while the engine is at full load.
--   luajit scripts/bench/observed.lua                        all of it
--   luajit scripts/bench/observed.lua run on|off SECONDS     one run; prints messages a second
--   luajit scripts/bench/observed.lua scrape PORT COUNT MS   scrapes; prints the milliseconds that each took
local ffi = require "ffi"
local engine = require "tidemill.run.engine"
local library = require "tidemill.run.ffi"
local observed = require "tidemill.cli.observed"
local plan = require "tidemill.plan.plan"
local process = require "spec.support.process"
require "spec.support.wait" -- declares clock_gettime
local C = library.C

local PARTITIONS, DISTINCT = 16, 1024
local quick = os.getenv "BENCH_QUICK" == "1"
local pairs_of_runs, seconds = tonumber(os.getenv "BENCH_PAIRS") or (quick and 3 or 15), quick and 2 or 4

-- On: what a new pipeline that sets no size has, if this version has automatic sizes of all; off: fixed sizes.
local FIXED = "max_batch_size = 1000, max_batch_time = 1, input_block_size = '16MiB', output_block_size = '16MiB',"
local PIPELINE = [[
local tide = require "tidemill"
return tide.pipeline "bench" {
  tide.file_source { path = "-" },
  tide.run_task_with_multiprocessing { function(message) return message end, processes = 1, %s },
  tide.file_sink { path = "-" },
}
]]

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

-- An engine that reads the same messages again and again from memory.
local function start(sizes, partitions)
  local path = os.tmpname()
  write(path, PIPELINE:format(sizes))
  local planned, faults = plan.load(path, { memory = partitions })
  os.remove(path)
  assert(planned, faults and table.concat(faults, "\n"))
  local made = assert(engine.new(planned))
  return made, planned
end

local function fill(made, partitions)
  local source, c = C.tide_engine_source(made.handle), ffi.new "struct tide_message"
  for i = 1, math.max(DISTINCT, partitions) do
    local value = ('{"id":%d,"level":"info","value":%d,"text":"%s"}'):format(i, i * 7, ("t"):rep(220))
    c.value, c.value_length, c.timestamp = value, #value, i
    C.tide_memory_push(source, i % partitions, c)
  end
  C.tide_memory_repeat(source, 1e12)
  C.tide_memory_discard(C.tide_engine_sink(made.handle))
end

local function settings(statsd)
  return { prometheus = { host = "127.0.0.1", port = 0 }, prefix = "tidemill", tags = {}, tap = false,
    statsd = statsd and { host = "127.0.0.1", port = 9, text = "127.0.0.1:9" } or nil }
end

local function now() return tonumber(C.tide_clock_us()) end

-- Microseconds of the processor that this thread has had: others on the machine do not count.
local THREAD_CPUTIME = 3
local function processor_us()
  local time = ffi.new "struct tide_spec_timespec"
  ffi.C.clock_gettime(THREAD_CPUTIME, time)
  return tonumber(time.seconds) * 1e6 + tonumber(time.nanoseconds) / 1e3
end

-- Turns the loop; each(event) after each turn, until it returns true.
local function turn(made, watcher, each)
  repeat
    local event = made:run(watcher and watcher:haste() or 1)
    assert(event.kind ~= "failed", event.text)
    if watcher then
      if event.kind == "second" then watcher:second() end
      watcher:turn(event)
    end
  until each(event)
end

local function scraper(port, count, pause_ms)
  return process.start({ "luajit", "scripts/bench/observed.lua", "scrape", tostring(port), tostring(count),
    tostring(pause_ms) })
end

-- One run; its first second is not counted.
local function run(on, length)
  local made, planned = start(on and "" or FIXED, PARTITIONS)
  local watcher = on and assert(observed.new(made, planned, settings(true)))
  local client = watcher and scraper(watcher.server.port, 1e6, 1000)
  assert(made:start {})
  fill(made, PARTITIONS)
  local from, read
  turn(made, watcher, function()
    if not from and made:totals().seconds >= 1 then from, read = now(), made:totals().read end
    return from and now() - from >= length * 1e6
  end)
  local rate = (made:totals().read - read) / (now() - from) * 1e6
  if client then client:stop() end
  if watcher then watcher:free() end
  made:free()
  print(("%.0f"):format(rate))
end

local function scrape(port, count, pause_ms)
  local http, socket = require "socket.http", require "socket"
  for i = 1, count do
    local path, from = i % 2 == 1 and "metrics" or "status", now()
    local body = http.request(("http://127.0.0.1:%d/%s"):format(port, path))
    if body then print((now() - from) / 1000, #body) end
    socket.sleep(pause_ms / 1000)
  end
end

local function median(list)
  table.sort(list)
  return (list[math.ceil(#list / 2)] + list[math.floor(#list / 2) + 1]) / 2
end

local function rate_of(mode)
  local code, out, err = process.run({ "luajit", "scripts/bench/observed.lua", "run", mode, tostring(seconds) })
  assert(code == 0, err)
  return tonumber(out)
end

local function compare()
  local ratios, on, off = {}, {}, {}
  for i = 1, pairs_of_runs do
    local first, second = i % 2 == 0 and "on" or "off", i % 2 == 0 and "off" or "on"
    local rates = { [first] = rate_of(first) }
    rates[second] = rate_of(second)
    on[i], off[i], ratios[i] = rates.on, rates.off, rates.on / rates.off
  end
  local text = "Exporting, advising and automatic sizes on: %.2f million messages/s; off: %.2f; ratio %.3f (medians of "
    .. "%d pairs)"
  print(text:format(median(on) / 1e6, median(off) / 1e6, median(ratios), pairs_of_runs))
end

-- 100 scrapes while the engine is at full load, and what the observer takes of it each second.
local function load(partitions)
  local made, planned = start("", partitions)
  local watcher = assert(observed.new(made, planned, settings(true)))
  local spent, times = 0, 0
  local second = watcher.second
  function watcher.second(self)
    local from = processor_us()
    second(self)
    spent, times = spent + processor_us() - from, times + 1
  end
  assert(made:start {})
  fill(made, partitions)
  local client = scraper(watcher.server.port, 100, 30)
  turn(made, watcher, function() return not client:running() end)
  local took, largest = {}, 0
  for text, size in client:stdout():gmatch "(%S+)%s+(%d+)\n" do
    took[#took + 1], largest = tonumber(text), math.max(largest, tonumber(size))
  end
  client:stop()
  watcher:free()
  made:free()
  assert(#took == 100, "100 scrapes are answered")
  table.sort(took)
  print(("%5d partitions: observer %6.0f us a second; scrapes: p50 %.2f ms, p99 %.2f ms, max %.2f ms, up to %d KiB")
    :format(partitions, spent / times, took[50], took[99], took[100], largest / 1024))
end

local arguments = { ... }
if arguments[1] == "run" then return run(arguments[2] == "on", tonumber(arguments[3])) end
if arguments[1] == "scrape" then
  io.stdout:setvbuf "line"
  return scrape(tonumber(arguments[2]), tonumber(arguments[3]), tonumber(arguments[4]))
end
compare()
for _, partitions in ipairs { 16, 200, 2000 } do load(partitions) end
process.stop_all()
