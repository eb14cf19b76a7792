-- SPDX-License-Identifier: MIT
-- What a tap costs: one engine at full load in process, whose taps are armed and disarmed in turn, some tenths of a
-- second each; each period with a tap is compared with the period before, without one. Prints medians of the ratios, of
-- messages a second and of the engine's processor time for a message, and what the tap looked at.
--   luajit scripts/bench/tap.lua        BENCH_PAIRS=40 pairs of periods for each kind of tap
local ffi = require "ffi"
local engine = require "tidemill.run.engine"
local library = require "tidemill.run.ffi"
local median = require "scripts.bench.median"
local plan = require "tidemill.plan.plan"
local tap_match = require "tidemill.metrics.tap_match"
local taps = require "tidemill.run.tap"
require "spec.support.wait" -- declares clock_gettime
local C = library.C

local PARTITIONS, DISTINCT, PERIOD_US = 16, 1024, 200000
local pairs_of_periods = tonumber(os.getenv "BENCH_PAIRS") or (os.getenv "BENCH_QUICK" == "1" and 10 or 40)

local PIPELINE = [[
local tide = require "tidemill"
return tide.pipeline "bench" {
  tide.file_source { path = "-" },
  tide.run_task_with_multiprocessing { function(message) return message end, processes = 1 },
  tide.file_sink { path = "-" },
}
]]

-- An engine that reads the same messages again and again from memory.
local function start()
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(PIPELINE)
  file:close()
  local planned = assert(plan.load(path, { memory = PARTITIONS }))
  os.remove(path)
  local made = assert(engine.new(planned))
  assert(made:start {})
  local source, c = C.tide_engine_source(made.handle), ffi.new "struct tide_message"
  for i = 1, DISTINCT do
    local value = ('{"id":%d,"level":"info","text":"%s"}'):format(i, ("t"):rep(220))
    c.value, c.value_length, c.timestamp = value, #value, i
    C.tide_memory_push(source, i % PARTITIONS, c)
  end
  C.tide_memory_repeat(source, 1e12)
  C.tide_memory_discard(C.tide_engine_sink(made.handle))
  return made
end

local THREAD_CPUTIME = 3
local function processor_us()
  local time = ffi.new "struct tide_spec_timespec"
  ffi.C.clock_gettime(THREAD_CPUTIME, time)
  return tonumber(time.seconds) * 1e6 + tonumber(time.nanoseconds) / 1e3
end

-- Turns for a period. Returns messages a second, and the engine's processor time of a message in us.
local function period(made, tap)
  local from, read, cpu = tonumber(C.tide_clock_us()), made:totals().read, processor_us()
  repeat
    assert(made:run(0.1).kind ~= "failed")
    while tap and tap:take() do end -- luacheck: ignore
  until tonumber(C.tide_clock_us()) - from >= PERIOD_US
  local count = made:totals().read - read
  return count / (tonumber(C.tide_clock_us()) - from) * 1e6, (processor_us() - cpu) / count
end

local KINDS = {
  { title = "no tap (noise)" },
  { title = "10 samples a second", rate = 10, match = {} },
  { title = "100 samples a second", rate = 100, match = {} },
  { title = "a key that is never there", rate = 10, match = { "key=none" } },
  { title = "a text that is in no value", rate = 10, match = { "value~nowhere to be found" } },
}

local made = start()
for _ = 1, 5 do period(made) end
for _, kind in ipairs(KINDS) do
  local rates, cpus, all, examined, passed = {}, {}, {}, 0, 0
  for i = 1, pairs_of_periods do
    period(made)
    local without, cpu_without = period(made)
    local tap = kind.rate and assert(taps.arm(made, { rate = kind.rate, value_limit = 16384,
      conditions = assert(tap_match.all(kind.match)) }))
    period(made, tap) -- a new tap may look at much at once
    local seen = tap and tap:counts()
    local with, cpu_with = period(made, tap)
    all[i], rates[i], cpus[i] = with, with / without, cpu_with / cpu_without
    if tap then
      local counts = tap:counts()
      examined, passed = examined + counts.examined - seen.examined, passed + counts.passed - seen.passed
      tap:disarm()
    end
  end
  print(("%-28s %.2f million messages/s, %.3f of what it is without; the engine's time for a message %.3f%s"):format(
    kind.title, median(all) / 1e6, median(rates), median(cpus),
    passed > 0 and ("; looked at %.1f %%"):format(examined / passed * 100) or ""))
end
made:free()
