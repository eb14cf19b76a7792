-- SPDX-License-Identifier: MIT
-- Keyed state on files under torture: a pipeline counts per key, in two states, while its engines are killed at any
-- moment, its workers too, and its input grows; then it runs to its end, and every count is judged against the input:
-- the state, and what the output says, also where a line came more than once. No Kafka is needed. Settings in the
-- environment, as in main.lua: TORTURE_SEED, TORTURE_SCALE (1 = 100 kills of engines, 300 of workers).
-- `luajit scripts/torture/state.lua` ends with 0, or with 1 when a count is wrong.
local cjson = require "cjson"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local PROGRAM = require("spec.support.program").path
local KEYS, LINES = 50, 4000 -- lines that are added before each life of an engine

local PIPELINE = [[
local tide = require "tidemill"
local ffi = require "ffi"
ffi.cdef "int poll(void *fds, unsigned long count, int ms);"
return tide.pipeline "torture" {
  tide.file_source { path = "in" },
  tide.keyed { function(m, state)
    local n = m.json.n
    if n %% 10 == 0 then ffi.C.poll(nil, 0, 1) end
    state.counts.value = (state.counts.value or 0) + 1
    state.sums.value = { sum = (state.sums.value or { sum = 0 }).sum + n }
    return ("%%s %%d %%d %%d"):format(m.json.k, n, state.counts.value, state.sums.value.sum)
  end, by = "json:k", state = { "counts", "sums" }, processes = 3, max_batch_size = 40, crash_retries = 100 },
  tide.file_sink { path = "out" },
  tide.commit_offsets { policy = { min_time = "30ms" } },
  state_dir = %q }
]]

local state = {}
local State = {}
State.__index = State

function State:add_lines(count)
  local file = assert(io.open(self.folder .. "/in", "ab"))
  for _ = 1, count do
    local key = "k" .. math.random(KEYS)
    self.fed = self.fed + 1
    self.keys[self.fed] = key
    file:write(('{"k":"%s","n":%d}\n'):format(key, self.fed))
  end
  file:close()
end

local function start(self)
  return process.start({ PROGRAM, "run", self.path }, { cwd = self.folder })
end

-- One life of an engine, in which `kills` workers are killed. An engine that has read all of its input has ended.
function State:live(kills)
  local run = start(self)
  local ends = wait.now() + 0.1 + math.random() * 0.4
  while run:running() and (kills > 0 or wait.now() < ends) do
    local workers = process.workers(run:pid())
    if kills > 0 and #workers > 0 and math.random() < 0.3 then
      process.kill(workers[math.random(#workers)])
      kills, self.workers_killed = kills - 1, self.workers_killed + 1
    end
    wait.pause(math.random(20))
  end
  if run:running() then
    run:signal "KILL"
    self.engines_killed = self.engines_killed + 1
  end
  local code = run:wait()
  if code ~= 0 and code ~= 137 then error(("the engine ended with %d: %s"):format(code, run:stderr()), 0) end
end

-- What is right: for each message the count and the sum of its key up to it, and for each key those of all.
local function truth(self)
  local of_message, of_key = {}, {}
  for number, key in ipairs(self.keys) do
    local one = of_key[key] or { 0, 0 }
    of_key[key] = { one[1] + 1, one[2] + number }
    of_message[number] = ("%s %d %d %d"):format(key, number, of_key[key][1], of_key[key][2])
  end
  return of_message, of_key
end

-- The texts of what is wrong.
function State:judge()
  local wrong, seen = {}, {}
  local of_message, of_key = truth(self)
  for line in io.lines(self.folder .. "/out") do -- a kill may cut a line off: it comes again
    local number = tonumber(line:match "^k%d+ (%d+) %d+ %d+$")
    if number then seen[number] = true end
    if number and line ~= of_message[number] then wrong[#wrong + 1] = line .. ", not " .. of_message[number] end
  end
  for number in ipairs(self.keys) do
    if not seen[number] then wrong[#wrong + 1] = "lost: " .. of_message[number] end
  end
  local _, out, err = process.run { PROGRAM, "state", self.path, "export" }
  local values = 0
  for line in out:gmatch "[^\n]+" do
    local one = cjson.decode(line)
    local right = of_key[one.key][one.state == "counts" and 1 or 2]
    values = values + 1
    if (one.state == "counts" and one.value or one.value.sum) ~= right then
      wrong[#wrong + 1] = ("%s, not %d"):format(line, right)
    end
  end
  if values ~= 2 * KEYS then wrong[#wrong + 1] = ("%d values, not %d: %s"):format(values, 2 * KEYS, err) end
  return wrong
end

--- Runs it: engines and workers are how many of them are killed. Returns what was done, and the texts of what is wrong.
function state.run(seed, engines, workers)
  math.randomseed(seed)
  local _, folder = pipeline_file.write "x"
  local self = setmetatable({ folder = folder, path = folder .. "/p.lua", fed = 0, keys = {}, engines_killed = 0,
    workers_killed = 0 }, State)
  local file = assert(io.open(self.path, "w"))
  file:write(PIPELINE:format(folder .. "/state"))
  file:close()
  while self.engines_killed < engines do
    self:add_lines(LINES)
    self:live(math.ceil((workers - self.workers_killed) / (engines - self.engines_killed)))
  end
  assert(start(self):wait() == 0)
  return self, self:judge()
end

local function main()
  local seed, scale = tonumber(os.getenv "TORTURE_SEED") or os.time(), tonumber(os.getenv "TORTURE_SCALE") or 1
  print(("torture: state: TORTURE_SEED=%d"):format(seed))
  local began = wait.now()
  local done, wrong = state.run(seed, math.ceil(100 * scale), math.ceil(300 * scale))
  print(("torture: state: %d kills of engines, %d of workers, %d messages, %d wrong, %d s"):format(done.engines_killed,
    done.workers_killed, done.fed, #wrong, wait.now() - began))
  for i = 1, math.min(20, #wrong) do print("FAILED: " .. wrong[i]) end
  pipeline_file.remove_all()
  os.exit(#wrong == 0 and 0 or 1)
end

if arg and arg[0] and arg[0]:find("torture/state.lua", 1, true) then main() end

return state
