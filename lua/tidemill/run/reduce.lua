-- SPDX-License-Identifier: MIT
-- run/reduce.lua: a batch of messages -> one result that stands for all of them (several, with `ready`): reduce,
-- buffer and batch. The accumulation begins and ends within one run over a block, so that a run can always be
-- repeated; chain/task_reduce.c says what the engine does with that. Progress is published only to say at which
-- record the worker is; results count once all of them are written.
--
-- A message whose accumulation raises an error, or returns tide.reject, is rejected, and, since the accumulated table
-- may be half changed then, the run begins again without it. When the result itself fails, all its messages are
-- rejected.
local bit = require("bit")
local C = require("tidemill.run.ffi").C
local many = require("tidemill.run.many")
local message = require("tidemill.run.message")
local answer = require("tidemill.run.answer")
local pack = require("tidemill.run.pack")
local runner = require("tidemill.run.runner")

local reduce = {}

local DROPPED = C.TIDE_RECORD_DROPPED

local function same(value) return value end

local forms = {}

function forms.reduce(entry, load_entry, fail)
  local transform = load_entry(entry.of)
  if transform.batch then fail(transform.where .. ": reduce takes no batch function") end
  local initial = entry.initial_value
  transform.new = type(initial) == "function" and initial or function() return initial end
  transform.append, transform.result = transform.process, entry.result or same
  return transform
end

function forms.buffer(entry)
  return { new = entry.new, append = entry.append, ready = entry.ready, result = entry.result,
    where = runner.describe(entry.result), append_where = runner.describe(entry.append) }
end

function forms.batch()
  return { new = pack.new, append = pack.append, result = pack.result, where = "tide.batch" }
end

--- { kind = "reduce", form = "reduce" | "buffer" | "batch", ... } -> { new, append, ready, result, where, append_where,
--- hooks }; the place of append is `where` when append_where is nil.
function reduce.load(entry, load_entry, fail)
  return forms[entry.form](entry, load_entry, fail)
end

-- State of a run: records [from, index) are in the accumulation that is open.
local function rewind(s)
  s.at, s.index, s.record, s.from, s.from_record = 0, s.first, s.first_record, s.first, s.first_record
  s.acc, s.count = nil, 0
end

local function close(s)
  s.from, s.from_record, s.acc, s.count = s.index, s.record, nil, 0
end

local function is_left_out(s, index, record)
  return s.bad[index] ~= nil or bit.band(record.flags, DROPPED) ~= 0
end

-- Why what append returned cannot be accumulated, with the text: it is no value but says what becomes of the message.
local function refusal(acc, where)
  local reason, text = message.verdict_of(acc)
  if reason == "many" then
    return "bad_return", where .. " returned tide.many; what is accumulated goes on, and only the result may be several"
  end
  return reason, reason == "bad_return" and where .. " " .. text or text
end

-- Goes on to the end of the accumulation; raises what the user's functions raise, at record s.index. Returns why that
-- message is rejected, if it is.
local function accumulate(s, spec)
  local ready = false
  while s.index < s.last and not ready do
    local index, record = s.index, s.record
    runner.publish(s.output, index, 0)
    if not is_left_out(s, index, record) then
      local acc = s.acc
      if s.count == 0 then acc = spec.new() end
      acc = spec.append(acc, message.open(record))
      local reason, text = refusal(acc, spec.append_where or spec.where)
      if reason == "retry" then
        s.retry = text
        return nil
      elseif reason then
        return { reason = reason, text = text }
      end
      ready = spec.ready ~= nil and spec.ready(acc) and true
      s.acc, s.count, s.newest, s.newest_record = acc, s.count + 1, index, record
    end
    s.index, s.record = index + 1, runner.next(record)
  end
  runner.publish(s.output, s.index, 0)
end

-- The result of the accumulation. It inherits nothing but the time and place of the newest message.
local function write_result(s, spec, several, at)
  message.hold() -- the result may hold views of copies; `several` lets them go
  local result = spec.result(s.acc)
  if result == nil then
    message.release()
    return at
  end
  if answer.retry_reason(result) then
    message.release()
    return at, "retry", answer.retry_reason(result)
  end
  local m = message.open(s.newest_record)
  m.value, m.key, m.headers = nil, nil, {}
  return several({ result }, 1, s.base, at, s.newest, s.most)
end

-- Rejects and result of records [from, index), in order. The bytes in use then; nil = they do not fit; or
-- anything, reason, error = the result is none.
local function write(s, spec, several)
  local at, reason, problem = s.at, nil, nil
  for index = s.from, s.index - 1 do
    local bad = s.bad[index]
    if bad then
      at = message.emit_reject(s.base, at, index, s.most, bad.reason, bad.text, bad.traceback)
    elseif s.count > 0 and index == s.newest then
      at, reason, problem = write_result(s, spec, several, at)
    end
    if not at or reason then return at, reason, problem end
  end
  return at
end

-- All messages of the accumulation are rejected. True = the block is full.
local function reject_all(s, why)
  local record = s.from_record
  for index = s.from, s.index - 1 do
    local bad = s.bad[index] or why
    if bit.band(record.flags, DROPPED) == 0 then
      local at = message.emit_reject(s.base, s.at, index, s.most, bad.reason, bad.text, bad.traceback)
      if not at then
        runner.publish(s.output, index, s.at)
        return true
      end
      s.at = at
    end
    record = runner.next(record)
  end
  close(s)
  return false
end

-- Ends the accumulation that is open. True = the block is full.
local function flush(s, spec, several)
  local ok, at, reason, problem = runner.try(write, s, spec, several)
  if not ok then return reject_all(s, { reason = "error", text = at.text, traceback = at.traceback }) end
  if at and not reason then
    s.at = at
    close(s)
    return false
  end
  if reason == "retry" then
    s.retry = problem
    return false
  end
  if not at and s.at > 0 then
    runner.publish(s.output, s.from, s.at) -- what is before stands; the rest is run again in an empty block
    return true
  end
  return reject_all(s, { reason = reason or "too_large", text = problem
    or ("what the batch makes is more than max_output_block_size (%d)"):format(s.most) })
end

local LASTING = { ["nil"] = true, boolean = true, number = true, string = true } -- an error cannot have changed it

local function leave_out(s, problem)
  s.bad[s.index] = { reason = problem.reason or "error", text = problem.text, traceback = problem.traceback }
  if LASTING[type(s.acc)] then
    s.index, s.record = s.index + 1, runner.next(s.record)
  else
    rewind(s)
  end
end

--- spec: from reduce.load; functions: those behind it, for its results -> run(job).
function reduce.runner(spec, functions)
  functions.where[0] = spec.where
  local several = many.runner(functions, message)
  return function(job)
    local s = { bad = {} }
    local _
    s.output, s.base, s.first_record, s.first, s.last, _, s.most = runner.open(job)
    rewind(s)
    C.tide_worker_running(s.output, C.TIDE_RUNNING_ONE)
    repeat
      local ok, problem = runner.try(accumulate, s, spec)
      if s.retry then
        break
      elseif not ok then
        leave_out(s, runner.placed(problem, spec.append_where or spec.where))
      elseif problem then
        leave_out(s, problem)
      elseif flush(s, spec, several) then
        return false
      end
    until ok and not problem and s.index >= s.last or s.retry
    if s.retry then -- the whole run, whatever is written of it
      s.at = message.emit_reject(s.base, 0, s.first, s.most, "retry", s.retry)
    end
    runner.publish(s.output, s.last, s.at)
    return true
  end
end

return reduce
