-- SPDX-License-Identifier: MIT
-- tuning/terms.lua: the constants of the rules by which limits are found, and what rules, evidence, sentences and
-- advice have in common. A `case` is a window and what was found out about it: tuning/limits.lua says what is in it.
local terms = {}

--- The constants of the rules.
terms.MOST = 0.5 -- of the time: what goes on for longer than all else together
terms.COST = 0.3 -- of the time: what batches may cost before their size is worth changing
terms.OVERFLOW = 0.1 -- of the batches
terms.BATCH_US = 15 -- of the engine's time for each batch, beside that for its messages; batches of 1 measure 15 to 20
terms.LONG_WAIT = 0.25 -- seconds that a batch is filled before that is worth a word
terms.SLOW_MEAN = 0.025 -- seconds: a mean beyond it is of messages that are all slow
terms.SLOW = 0.3 -- of the time in the functions, at messages of more than 100 ms
terms.WAITS = 0.5 -- of the time in the functions on the processor or without a core: below, they wait

--- "12 %"
function terms.percent(share)
  return ("%.0f %%"):format(math.min(100, share * 100))
end

-- The reason for which most batches close.
function terms.main_close(step)
  local best = "size"
  for reason, share in pairs(step.closes) do
    if share > step.closes[best] then best = reason end
  end
  return best
end

function terms.they_wait(step)
  return step.cpu + step.delay < terms.WAITS
end

function terms.batches_cost(case)
  return case.step and case.place ~= "source" and case.place ~= "output" and case.cost >= terms.COST
end

function terms.number(value)
  return ("%.0f"):format(value)
end

function terms.time(seconds)
  if seconds < 0.001 then return ("%.0f us"):format(seconds * 1e6) end
  if seconds < 1 then return ("%.3g ms"):format(seconds * 1e3) end
  return ("%.3g s"):format(seconds)
end

function terms.step_name(case)
  return #case.window.steps > 1 and (" of step %d"):format(case.n) or ""
end

-- Whose the workers are: of one step, or of all that share them, with the one that has them most.
function terms.pool_name(case)
  local step = case.step
  if #step.sharing == 1 then return terms.step_name(case) end
  return (" of a pool (steps %s; step %d has them for %s of the time)"):format(table.concat(step.sharing, ", "), case.n,
    terms.percent(step.own))
end

function terms.doubled(case, option)
  local from = case.step[option]
  return { step = case.n, option = option, from = from, to = from * 2 }
end

function terms.batch_evidence(case)
  local step = case.step
  return { messages_per_batch = step.mean, closed_by_size = step.closes.size, closed_by_time = step.closes.time,
    closed_by_block = step.closes.block, cost_of_batches = case.cost, input_overflow = step.input_overflow }
end

function terms.worker_evidence(case)
  local step = case.step
  return { workers_in_use = step.busy, processor_in_functions = step.cpu,
    without_core_in_functions = step.delay, seconds_per_message = step.message_time,
    blocked_by_workers = step.blocked.workers, blocked_by_oldest = step.blocked.oldest, slow_messages = step.slow,
    processes = step.processes }
end

function terms.output_evidence(case)
  local evidence = { blocked = case.window.engine.blocked, output_full = case.window.output.full,
    transaction_ending = case.window.output.hold, acknowledged_after = case.window.output.latency }
  if case.step then
    evidence.backpressure, evidence.dead_letters = case.step.blocked.next_step, case.step.blocked.dlq
    evidence.workers_in_use = case.step.run
  end
  return evidence
end

function terms.engine_evidence(case)
  local engine = case.window.engine
  return { engine_busy = engine.busy, engine_processor = engine.cpu, waiting_for_source = engine.source,
    lag = case.window.lag, messages_per_second = case.window.messages / math.max(case.window.seconds, 1e-9) }
end

-- Processes that do the same work with a quarter to spare; nil when there are no fewer.
function terms.fewer_processes(case)
  local step = case.step
  local wanted = step and math.max(1, math.ceil(step.processes * step.run * 1.25))
  if not wanted or wanted >= step.processes then return nil end
  return { step = case.n, option = "processes", from = step.processes, to = wanted }
end

function terms.fewer_text(case)
  local change = terms.fewer_processes(case)
  local whose = change and (#case.step.sharing > 1 and " of the pool" or terms.step_name(case))
  return change and ("; %d of %d processes%s would do"):format(change.to, change.from, whose) or ""
end

-- The output: what takes the results of the last step.
function terms.at_output(case)
  return case.place == "output"
end

function terms.by_dead_letters(case)
  return case.step and case.step.blocked.dlq > case.step.blocked.next_step
end

function terms.to_kafka(case)
  local setting = case.window.setting
  if terms.by_dead_letters(case) then return setting.dlq_topic end
  return setting.output == "kafka"
end

function terms.blocked_text(case)
  if terms.by_dead_letters(case) then return "the dead letters were not taken", case.step.blocked.dlq end
  local share = case.step and case.step.blocked.next_step or case.window.engine.blocked
  if case.ending then share = math.max(share, case.window.output.full) end
  return "the output took no more", share
end

-- Processes that help: functions that wait need no core, others do.
function terms.more_processes(case)
  local step, cores = case.step, case.window.setting.cores
  local to = terms.they_wait(step) and step.processes * 2 or math.min(cores, step.processes * 2)
  if to <= step.processes then return nil end
  return { step = case.n, option = "processes", from = step.processes, to = to }
end

return terms
