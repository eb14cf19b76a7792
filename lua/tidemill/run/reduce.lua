-- SPDX-License-Identifier: MIT
-- run/reduce.lua: the runner of the steps with state (reduce, buffer, batch), which make of a batch of messages one
-- result that stands for all of them (several, with `ready`). An accumulation begins and ends within one run over a
-- block, so that a run can always be repeated; engine/chain/task_reduce.c says what the engine does with that. Until
-- the results of an accumulation are written, the worker publishes only at which record it is.
--
-- A message whose accumulation raises an error, or returns tide.reject, is rejected. The accumulated table may be half
-- changed then, so the run begins again without that message. When the result itself fails, all messages of the
-- accumulation are rejected.
local bit = require("bit")
local C = require("tidemill.run.ffi").C
local answer = require("tidemill.run.answer")
local many = require("tidemill.run.many")
local message = require("tidemill.run.message")
local pack = require("tidemill.run.pack")
local result = require("tidemill.run.result")
local runner = require("tidemill.run.runner")
local traces = require("tidemill.run.traces")

local reduce = {}

local LEFT_OUT = C.TIDE_RECORD_LEFT_OUT
local DROP, REJECT, RETRY, EXPAND, FULL = answer.DROP, answer.REJECT, answer.RETRY, answer.EXPAND, answer.FULL

local function same(value) return value end

local forms = {}

-- The place of a function, or of the other one where it is none of the user's files (tide.json.encode, tostring).
local function place_of(fn, other)
  local source = debug.getinfo(fn, "S").source
  local is_theirs = source:find "^@" and not traces.own_module(source)
  return runner.describe(is_theirs and fn or other)
end

function forms.reduce(entry, load_entry, fail)
  local transform = load_entry(entry.of)
  if transform.batch then fail(transform.where .. ": reduce takes no batch function") end
  local initial = entry.initial_value
  transform.new = type(initial) == "function" and initial or function() return initial end
  transform.append, transform.result = transform.process, entry.result or same
  transform.result_where = place_of(transform.result, transform.append) .. ": the result"
  return transform
end

function forms.buffer(entry)
  local where = place_of(entry.result, entry.append)
  return { new = entry.new, append = entry.append, ready = entry.ready, result = entry.result,
    where = where, append_where = runner.describe(entry.append), result_where = where .. ": the result" }
end

function forms.batch()
  return { new = pack.new, append = pack.append, result = pack.result, where = "tide.batch",
    result_where = "tide.batch" }
end

--- { kind = "reduce", form = "reduce" | "buffer" | "batch", ... } -> { new, append, ready, result, where, append_where,
--- result_where, hooks }; the place of append is `where` when append_where is nil.
function reduce.load(entry, load_entry, fail)
  return forms[entry.form](entry, load_entry, fail)
end

-- The state of a run, `s`: records [from, index) are in the accumulation that is open, `acc`, which has `count`
-- messages; `newest` is the last of them. `bad` holds the refusals (run/runner.lua) of single messages, by index;
-- `retry` is the text of a tide.retry, which ends the run.
local function rewind(s)
  s.index, s.record, s.from, s.from_record = s.first, s.first_record, s.first, s.first_record
  s.acc, s.count = nil, 0
  result.open(s.output, s.most, s.most)
end

local function close(s)
  s.from, s.from_record, s.acc, s.count = s.index, s.record, nil, 0
  result.begin()
end

local function is_left_out(s, index, record)
  return s.bad[index] ~= nil or bit.band(record.flags, LEFT_OUT) ~= 0
end

local NOT_ACCUMULATED = {
  [EXPAND] = " returned tide.many; what is accumulated goes on, and only the result may be several",
  [DROP] = " returned tide.drop; to leave a message out, return what was accumulated before",
}

local NOT_READY = "ready returned %s; it answers only whether the buffer is handed on now"
local LOST_CHOICE = " wrote message.%s, which is lost: where it goes is said by the result, a table or a copy"

-- What append returned may be no value but an answer: the outcome, reason and text for the message then; else nil.
-- What append writes into the message counts in what is kept of it, but nothing is kept of where it should go.
local function refusal_in(acc, where)
  local choice = message.written_choice()
  if choice then return REJECT, "bad_return", where .. LOST_CHOICE:format(choice) end
  local outcome, reason, text = answer.of(acc)
  if NOT_ACCUMULATED[outcome] then return REJECT, "bad_return", where .. NOT_ACCUMULATED[outcome] end
  if reason == "bad_return" then text = where .. " " .. text end
  return outcome, reason, text
end

-- Goes on to the end of the accumulation; raises what the user's functions raise, at record s.index. Returns the
-- refusal of that message, if it is refused.
local function accumulate(s, spec)
  local ready = false
  while s.index < s.last and not ready do
    local index, record = s.index, s.record
    result.publish_position(index)
    if not is_left_out(s, index, record) then
      local acc = s.acc
      if s.count == 0 then acc = spec.new() end
      acc = spec.append(acc, message.open(record))
      local outcome, reason, text = refusal_in(acc, spec.append_where or spec.where)
      if outcome == RETRY then
        s.retry = text
        return nil
      elseif outcome then
        return { outcome = outcome, reason = reason, text = text }
      end
      ready = spec.ready ~= nil and spec.ready(acc)
      if answer.of(ready) then
        return { outcome = REJECT, reason = "bad_return", text = NOT_READY:format(tostring(ready)) }
      end
      s.acc, s.count, s.newest, s.newest_record = acc, s.count + 1, index, record
    end
    s.index, s.record = index + 1, runner.next(record)
  end
  result.publish_position(s.index)
end

-- Writes the result of the accumulation. It inherits only the time of the newest message.
local function write_result(s, spec, expand)
  message.hold() -- the result may hold views of copies
  local returned = spec.result(s.acc)
  message.open_empty(s.newest_record)
  local outcome, reason, text = EXPAND, nil, nil
  if returned ~= nil then outcome, reason, text = expand({ returned }, 1, s.newest) end
  message.release()
  return outcome, reason, text
end

-- Writes refusals and result of records [from, index), in order: EXPAND, or what became of the result instead.
local function write(s, spec, expand)
  for index = s.from, s.index - 1 do
    local bad, outcome, reason, text = s.bad[index], EXPAND, nil, nil
    if bad then
      if runner.refuse(index, bad) == FULL then outcome = FULL end
    elseif s.count > 0 and index == s.newest then
      outcome, reason, text = write_result(s, spec, expand)
    end
    if outcome ~= EXPAND then
      result.rewind()
      return outcome, reason, text
    end
  end
  return EXPAND
end

-- Refuses all messages of the accumulation. True = the block is full.
local function refuse_all(s, refusal)
  local record = s.from_record
  for index = s.from, s.index - 1 do
    if bit.band(record.flags, LEFT_OUT) == 0 and runner.refuse(index, s.bad[index] or refusal) == FULL then
      result.publish(index)
      return true
    end
    record = runner.next(record)
  end
  close(s)
  return false
end

-- Ends the accumulation that is open. True = the block is full.
local function flush(s, spec, expand)
  local ok, outcome, reason, text = runner.try(write, s, spec, expand)
  if not ok then
    result.rewind()
    return refuse_all(s, runner.refusal_of(runner.placed(outcome, spec.result_where)))
  end
  if outcome == EXPAND then
    close(s)
    return false
  end
  if outcome == RETRY then
    s.retry = text
    return false
  end
  if outcome == FULL and not result.is_first() then
    result.publish(s.from) -- what is before stands; the rest is run again in an empty block
    return true
  end
  return refuse_all(s, { outcome = REJECT, reason = reason or "too_large", text = text
    or ("what the batch makes is more than max_output_block_size (%d)"):format(s.most) })
end

local LASTING = { ["nil"] = true, boolean = true, number = true, string = true } -- an error cannot have changed it

local function leave_out(s, refusal)
  s.bad[s.index] = refusal
  if LASTING[type(s.acc)] then
    s.index, s.record = s.index + 1, runner.next(s.record)
  else
    rewind(s)
  end
end

-- Runs all accumulations of a job. False when the block is full.
local function run_all(s, spec, expand)
  repeat
    local ok, refusal = runner.try(accumulate, s, spec)
    if not ok then refusal = runner.refusal_of(runner.placed(refusal, spec.append_where or spec.where)) end
    if s.retry then return true end
    if refusal then
      leave_out(s, refusal)
    elseif flush(s, spec, expand) then
      return false
    end
  until not refusal and s.index >= s.last or s.retry
  return true
end

--- spec: from reduce.load; functions: those that follow, for its results -> run(job).
function reduce.runner(spec, functions)
  functions.where[0] = spec.where
  local _, expand = many.runner(functions)
  return function(job)
    local s = { bad = {}, output = job.output, most = tonumber(job.output_max) }
    s.first_record, s.first, s.last = runner.open(job)
    rewind(s)
    C.tide_worker_running(s.output, C.TIDE_RUNNING_ONE)
    if not run_all(s, spec, expand) then return false end
    if s.retry then -- the whole run is tried again, whatever is written of it
      result.open(s.output, s.most, s.most)
      result.retry(s.first, s.retry)
    end
    result.publish(s.last)
    return true
  end
end

return reduce
