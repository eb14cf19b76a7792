-- SPDX-License-Identifier: MIT
-- What it costs to be watched: exporting, advising and automatic sizes on against off, in process, without a Kafka
-- (whose noise is larger). Runs alternate; the ratio is the median of the ratios of two neighbours. Then what the
-- observer takes of the engine's thread, and how long scrapes take while the engine is at full load.
--   luajit scripts/bench/observed.lua                        all of it
--   luajit scripts/bench/observed.lua run MODE SECONDS       one run; prints messages a second, CPU us a message
--   luajit scripts/bench/observed.lua scrape PORT COUNT MS   scrapes; prints the milliseconds that each took
local ffi = require "ffi"
local engine = require "tidemill.run.engine"
local library = require "tidemill.run.ffi"
local observed = require "tidemill.cli.observed"
local median = require "scripts.bench.median"
local plan = require "tidemill.plan.plan"
local process = require "spec.support.process"
require "spec.support.wait" -- declares clock_gettime
local C = library.C

local PARTITIONS, DISTINCT = 16, 1024
local quick = os.getenv "BENCH_QUICK" == "1"
local pairs_of_runs, seconds = tonumber(os.getenv "BENCH_PAIRS") or (quick and 3 or 15), quick and 2 or 4

-- What is best for these messages, by hand. The number of workers is the same in all modes.
local FIXED = 'max_batch_size = 1000, max_batch_time = 1, input_block_size = "1MiB", output_block_size = "1MiB",'
local MODES = {
  off = { title = "nothing", sizes = FIXED },
  watched = { title = "exporting and advising", sizes = FIXED, watched = true },
  automatic = { title = "exporting, advising and automatic sizes", sizes = "", watched = true },
}
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

-- A StatsD server that never reads what it gets.
local statsd = require("socket").udp4()
statsd:setsockname("127.0.0.1", 0)

local function settings()
  local _, port = statsd:getsockname()
  return { prometheus = { host = "127.0.0.1", port = 0 }, prefix = "tidemill", tags = {}, tap = false,
    statsd = { host = "127.0.0.1", port = tonumber(port), text = "127.0.0.1:" .. port } }
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

-- Seconds of the processor that the engine and its workers have had.
local function cpu_of(made)
  local ticks, index = 0, 0
  while made:worker_pid(0, index) do
    local stat = assert(io.open(("/proc/%d/stat"):format(made:worker_pid(0, index)))):read "*a"
    local user, system = stat:match "%) %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ (%d+) (%d+)"
    ticks, index = ticks + user + system, index + 1
  end
  return os.clock() + ticks / 100
end

-- One run; its first second is not counted.
local function run(mode, length)
  local made, planned = start(mode.sizes, PARTITIONS)
  local watcher = mode.watched and assert(observed.new(made, planned, settings()))
  local client = watcher and scraper(watcher.server.port, 1e6, 1000)
  assert(made:start {})
  fill(made, PARTITIONS)
  local from, read, cpu
  turn(made, watcher, function()
    if not from and made:totals().seconds >= 1 then from, read, cpu = now(), made:totals().read, cpu_of(made) end
    return from and now() - from >= length * 1e6
  end)
  local count = made:totals().read - read
  local rate = count / (now() - from) * 1e6
  print(("%.0f %.4f"):format(rate, (cpu_of(made) - cpu) / count * 1e6))
  if client then client:stop() end
  if watcher then watcher:free() end
  made:free()
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

local function measure(mode)
  local code, out, err = process.run({ "luajit", "scripts/bench/observed.lua", "run", mode, tostring(seconds) })
  assert(code == 0, err)
  local rate, cpu = out:match "(%S+) (%S+)"
  return { rate = tonumber(rate), cpu = tonumber(cpu) }
end

-- One mode against off, in turn; who begins changes.
local function compare(name)
  local ratios, cpus, rates = {}, {}, {}
  for i = 1, pairs_of_runs do
    local first, second = i % 2 == 0 and name or "off", i % 2 == 0 and "off" or name
    local got = { [first] = measure(first) }
    got[second] = measure(second)
    rates[i], ratios[i] = got[name].rate, got[name].rate / got.off.rate
    cpus[i] = got[name].cpu / got.off.cpu
  end
  table.sort(ratios)
  local text = "%s: %.2f million messages/s, %.3f of what it is without; CPU a message %.3f (medians of %d pairs, %.3f "
    .. "to %.3f)"
  print(text:format(MODES[name].title, median(rates) / 1e6, median(ratios), median(cpus), pairs_of_runs, ratios[1],
    ratios[#ratios]))
end

-- 100 scrapes while the engine is at full load, and what the observer takes of it each second.
local function load(partitions)
  local made, planned = start("", partitions)
  local watcher = assert(observed.new(made, planned, settings()))
  local spent, times, longest = 0, 0, 0
  for _, name in ipairs { "second", "turn" } do
    local inner = watcher[name]
    watcher[name] = function(self, event)
      local from = processor_us()
      inner(self, event)
      local took = processor_us() - from
      spent, times = spent + took, times + (name == "second" and 1 or 0)
      if made:totals().seconds > 2 then longest = math.max(longest, took) end -- the first ones are compiled
    end
  end
  assert(made:start {})
  fill(made, partitions)
  local client = scraper(watcher.server.port, 100, 60)
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
  local text = "%5d partitions: observer %5.0f us a second, %5.0f at a time at most; scrapes: p50 %.2f ms, "
    .. "p99 %.2f ms, max %.2f ms, up to %d KiB"
  print(text:format(partitions, spent / times, longest, took[50], took[99], took[100], largest / 1024))
end

local arguments = { ... }
if arguments[1] == "run" then return run(assert(MODES[arguments[2]]), tonumber(arguments[3])) end
if arguments[1] == "scrape" then
  io.stdout:setvbuf "line"
  return scrape(tonumber(arguments[2]), tonumber(arguments[3]), tonumber(arguments[4]))
end
for _, name in ipairs { "watched", "automatic" } do compare(name) end
for _, partitions in ipairs { 16, 200, 2000 } do load(partitions) end
process.stop_all()
