-- SPDX-License-Identifier: MIT
-- What a canary costs (docs/reload.md): one run, in which seconds with a canary that compares and seconds without take
-- turns; the figures are medians of the ratios of two neighbours. Processor time says more than the rate where other
-- programs run, too.
--   luajit scripts/bench/canary.lua [SHARE [ROUNDS]]      SHARE: 5%, as `tidemill reload --canary` takes it
package.path = "./?.lua;./lua/?.lua;./lua/?/init.lua;" .. package.path
local http_client = require "tidemill.cli.http_client"
local median = require "scripts.bench.median"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local tree = require "scripts.bench.tree"
local wait = require "spec.support.wait"
local socket = require "socket"

local PROGRAM = (os.getenv "TIDE_BUILD" or "build") .. "/tidemill"
local SECONDS, WARM = 3, 1000000 -- of each measurement; messages before the first one

local PIPELINE = [[
local tide = require "tidemill"
return tide.pipeline "canary" { tide.file_source { path = "-" },
  tide.run_task_with_multiprocessing { "t.lua", processes = 1 }, tide.file_sink { path = "/dev/null" },
  reload = tide.reload { canary_time = "5s", canary_messages = 1000000000, watch_time = 0 } }
]]
local JOB = [[
return function(message)
  local event = message.json
  if event.level == "debug" then return nil end
  event.v, event.value = event.value * 2, nil
  event.seen = true
  return message
end
]]

local function events()
  local lines = {}
  for i = 1, 200000 do
    lines[i] = ('{"id":%d,"level":"%s","value":%d,"text":"%s"}\n'):format(i, i % 10 == 0 and "debug" or "info", i,
      ("x"):rep(200))
  end
  return table.concat(lines)
end

local share, rounds = arg[1] or "5%", tonumber(arg[2]) or 7
local path, folder = pipeline_file.write(PIPELINE, { ["t.lua"] = JOB, events = events() })
local run = process.start({ "sh", "-c", ("while cat %s/events; do :; done | exec '%s' run %s --metrics-addr 0"):format(
  folder, PROGRAM, path) }, { env = { LD_PRELOAD = false } })
local address = "127.0.0.1:" .. wait.until_true(function()
  return run:stderr():match "HTTP on http://[%d.]+:(%d+)/"
end)
wait.until_true(function() return assert(http_client.status(address)).totals.read > WARM end)

-- Messages a second, and microseconds of processor time a message: of the engine alone, of all processes.
local function measure()
  local before = assert(http_client.status(address))
  local engine, all = tree.meter(before.pid), tree.meter(before.pid)
  local function used(meter, only)
    meter:sample()
    return only and meter.cpu[before.pid] or (meter:totals())
  end
  local engine_before, all_before = used(engine, true), used(all)
  socket.sleep(SECONDS)
  local after = assert(http_client.status(address))
  local count = after.totals.read - before.totals.read
  return { count / (after.time - before.time) * 1000, (used(engine, true) - engine_before) / count * 1e6,
    (used(all) - all_before) / count * 1e6 }
end

local figures = {}
for round = 1, rounds do
  socket.sleep(1.5)
  local without = measure()
  local reload = process.start { PROGRAM, "reload", "--canary", share, "--compare", "--no-watch", address }
  wait.until_true(function() return assert(http_client.status(address)).reload.state == "canary" end)
  local with = measure()
  assert(reload:wait() == 0, reload:stderr())
  for i = 1, 3 do
    figures[i] = figures[i] or { without = {}, with = {}, ratio = {} }
    figures[i].without[round], figures[i].with[round] = without[i], with[i]
    figures[i].ratio[round] = with[i] / without[i]
  end
end
process.stop_all()
pipeline_file.remove_all()
print(("canary of %s with --compare, medians of %d rounds:"):format(share, rounds))
for i, name in ipairs { "messages a second", "engine, CPU us a message", "all, CPU us a message" } do
  print(("  %-26s without %10.2f  with %10.2f  ratio %.2f"):format(name, median(figures[i].without),
    median(figures[i].with), median(figures[i].ratio)))
end
