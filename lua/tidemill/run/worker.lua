-- SPDX-License-Identifier: MIT
-- run/worker.lua: what the zygote and the workers do after the fork. The zygote loads the user's code once and
-- forks workers as ordered; a worker runs the fused loop over block after block.
local ffi = require 'ffi'
local C = require('tidemill.run.ffi').C
local fuse = require 'tidemill.run.fuse'
local message = require 'tidemill.run.message'

local worker = {}

-- Functions of a transform table that are used here; others are not silently left out.
local hooks = { init = true, start = true, process = true }

local function describe(fn)
  local info = debug.getinfo(fn, 'S')
  return ('%s:%d'):format(info.short_src, info.linedefined)
end

local function fail(text)
  error({ load = text }, 0)
end

local function load_file(path)
  local chunk, problem = loadfile(path)
  if not chunk then fail(problem) end
  local ok, result = xpcall(chunk, debug.traceback)
  if not ok then fail(result) end
  return result, path
end

local function check_table(transform, path)
  for name in pairs(transform) do
    if not hooks[name] then
      fail(('%s: a transform has no "%s"; it has init, start, process'):format(path, tostring(name)))
    end
  end
  if type(transform.process) ~= 'function' then fail(path .. ': the transform table has no function "process"') end
  return transform
end

-- One function of a step: {path} or a function of the pipeline file -> {process =, init =, start =}.
local function load_transform(entry)
  if type(entry) == 'function' then return { process = entry } end
  local result, path = load_file(entry.path)
  if type(result) == 'function' then return { process = result } end
  if type(result) == 'table' then return check_table(result, path) end
  fail(('%s: a transform returns a function or a table, this one returned a %s'):format(path, type(result)))
end

local function load_step(entries)
  local step = { functions = { where = {} }, starts = {} }
  for i, entry in ipairs(entries) do
    local transform = load_transform(entry)
    if transform.init then
      local ok, problem = xpcall(transform.init, debug.traceback)
      if not ok then fail('init: ' .. tostring(problem)) end
    end
    step.functions[i] = transform.process
    step.functions.where[i] = describe(transform.process)
    step.starts[#step.starts + 1] = transform.start
  end
  step.loop = fuse.loop(step.functions, message, C, ffi)
  return step
end

local function load_all(plan)
  package.path = plan.folder .. '/?.lua;' .. plan.folder .. '/?/init.lua;' .. package.path
  local steps = {}
  for number, entries in pairs(plan.functions) do steps[number - 1] = load_step(entries) end
  return steps
end

-- An error may be any value, and its __tostring may fail too.
local function handler(problem)
  local ok, text = pcall(tostring, problem)
  if type(problem) == 'nil' then text = 'error(nil)' end
  -- What stands below the loop is ours, the same each time, and no news to the reader.
  local traceback = debug.traceback('', 2)
  return { text = ok and text or 'an error object whose __tostring fails',
    traceback = traceback:match '^(.-)\n[^\n]*%(loop%)' or traceback }
end

local result_at = ffi.sizeof 'struct tide_output'
local record_type = ffi.typeof 'const struct tide_record *'

-- One pcall per entry into the loop, not per message: the published progress says which message failed.
local function run(step, job)
  local output = job.output
  local base = ffi.cast('char *', output) + result_at
  local size, most = tonumber(job.output_size), tonumber(job.output_max)
  local record, index, at = ffi.cast(record_type, job.record), job.first, 0
  while index < job['end'] do
    local ok, done = xpcall(step.loop, handler, record, index, job['end'], output, base, at, size, most)
    if ok then return done end
    local progress = output.progress
    index, at = tonumber(progress % 0x100000000ULL), tonumber(progress / 0x100000000ULL)
    at = message.emit_reject(base, at, index, at == 0 and most or size, 'error', done.text, done.traceback)
    if not at then return false end
    index = index + 1
    C.tide_worker_publish(output, index, at)
    record = message.record()
    record = ffi.cast(record_type, ffi.cast('const char *', record) + record.size)
  end
  return true
end

local function work(zygote, steps)
  local job = ffi.new 'struct tide_job'
  math.randomseed(C.tide_worker_seed())
  for _, step in pairs(steps) do
    for _, start in ipairs(step.starts) do start() end
  end
  while true do
    if C.tide_worker_next(zygote, job, false) == 0 then
      collectgarbage 'step' -- the time is free now
      C.tide_worker_next(zygote, job, true)
    end
    C.tide_worker_running(job.output, true)
    local done = run(steps[job.step], job)
    C.tide_worker_running(job.output, false)
    C.tide_worker_report(zygote, job, done and C.TIDE_OUTCOME_DONE or C.TIDE_OUTCOME_FULL)
  end
end

local function text_of(problem)
  return type(problem) == 'table' and problem.load or tostring(problem)
end

--- In the zygote: loads, serves, and in each forked worker works; never returns. `engine` is the C handle.
function worker.main(zygote, engine, plan)
  -- The defaults are for small scripts: here whole transforms are traced into the loop.
  require('jit.opt').start('maxmcode=8192', 'sizemcode=256', 'maxtrace=4000', 'maxrecord=16000', 'maxirconst=4000')
  local ok, steps = pcall(function()
    message.use_topics(C.tide_engine_topics(engine), plan.topics or {})
    return load_all(plan)
  end)
  if not ok then C.tide_zygote_loaded(zygote, text_of(steps)) end
  C.tide_zygote_loaded(zygote, nil)
  collectgarbage 'collect'
  C.tide_zygote_serve(zygote)
  local _, problem = xpcall(work, debug.traceback, zygote, steps)
  io.stderr:write('tidemill: worker: ', tostring(problem), '\n')
  C.tide_worker_exit(70)
end

return worker
