-- SPDX-License-Identifier: MIT
-- tuning/limits.lua: every limit that there is, in the order of Arroyo's tuning procedure: input block,
-- batch, output block, next step, processes. The first one whose rule holds is the verdict.
--
-- An entry: name; rule = the rule in words, for docs/tuning.md; holds(case) = the rule; evidence(case) = its numbers;
-- sentence(case) = what the limit is; advice(case) = what to change, or nil; change(case) = the same as { step, option,
-- from, to }, where it is one option. A case is what tuning/advisor.lua makes of a window:
--   window   the window
--   place    "source", "engine", "step", "output" or "retry": where the time goes
--   step, n  the step that is judged, as in the window, and its number; nil without steps
--   behind   messages wait in the source
--   ending   all is read, and the engine waits for the steps to work it off
--   cost, output_cost   shares of the place's time: what batches cost, and what rounds after a full output block cost
local units = require("tidemill.plan.units")

local terms = require("tidemill.tuning.terms")

local limits = {}

local percent, main_close, they_wait, batches_cost, number, time, step_name, doubled, batch_evidence,
  worker_evidence, output_evidence, engine_evidence, fewer_processes, fewer_text, at_output, to_kafka, blocked_text,
  more_processes, pool_name =
  terms.percent, terms.main_close, terms.they_wait, terms.batches_cost, terms.number, terms.time, terms.step_name,
  terms.doubled, terms.batch_evidence, terms.worker_evidence, terms.output_evidence, terms.engine_evidence,
  terms.fewer_processes, terms.fewer_text, terms.at_output, terms.to_kafka, terms.blocked_text,
  terms.more_processes, terms.pool_name

local IDLE = 0.01 -- workers less in use than this have nothing to do

limits.list = {
  {
    name = "script",
    rule = "Where the limit would be the source, or none: for more than half of the time (MOST) a message waits to be "
      .. "tried again (tide.retry), and with it what follows it in its partition.",
    holds = function(case) return case.place == "retry" end,
    evidence = function(case)
      local waits, evidence = case.step.waits or {}, worker_evidence(case)
      evidence.waiting_for_retry, evidence.tried_for = case.step.retry, waits.seconds
      evidence.messages_that_wait = waits.messages
      return evidence
    end,
    sentence = function(case)
      local waits = case.step.waits
      local where = waits and (": %s/%d, at offset %.0f, for %s"):format(waits.topic, waits.partition, waits.offset,
        time(waits.seconds)) or ""
      return ("the functions%s are the limit: for %s of the time a partition waited behind a message that is tried "
        .. "again (tide.retry)%s"):format(step_name(case), percent(case.step.retry), where)
    end,
    advice = function() return "the log says why they ask for it" end,
  },
  {
    name = "source",
    rule = "The engine waits for the source at least 15 % of the time (SLACK) and longer than for the steps, and "
      .. "messages are behind: the mean lag is more than half a second of reading (BEHIND), or is not known.",
    holds = function(case) return case.place == "source" and case.behind end,
    evidence = engine_evidence,
    sentence = function(case)
      local lag = case.window.lag
      return ("the source is the limit: for %s of the time there was nothing to read%s"):format(
        percent(case.window.engine.source), lag and (", with a lag of %.0f messages"):format(lag) or "")
    end,
    advice = function(case)
      return case.window.lag
        and "look at the brokers, the network and fetch.max.bytes; processes and sizes change nothing"
        or "the writer of the input is slower than the pipeline; processes and sizes change nothing"
    end,
  },
  {
    name = "batch_time",
    rule = "Nothing is behind, and for more than half of the time (MOST) messages wait in a batch that is filled while "
      .. "no worker has one: most batches close by time, after 0.25 s (LONG_WAIT) or more.",
    holds = function(case)
      local step = case.step
      return case.place == "source" and step and step.filling >= terms.MOST and main_close(step) == "time"
        and step.open_time >= terms.LONG_WAIT
    end,
    evidence = function(case)
      local evidence = batch_evidence(case)
      evidence.filling, evidence.seconds_open = case.step.filling, case.step.open_time
      return evidence
    end,
    sentence = function(case)
      return ("max_batch_time is the limit: messages%s wait %s for their batch to close, for %s of the time beside "
        .. "idle workers")
        :format(step_name(case), time(case.step.open_time), percent(case.step.filling))
    end,
    advice = function(case)
      local now = case.step.max_batch_time * 1e6
      return ("set eager = true, or lower max_batch_time from %s"):format(units.show_time(now))
    end,
    change = function(case) return { step = case.n, option = "eager", from = false, to = true } end,
  },
  {
    name = "input_block",
    rule = "Input blocks overflow in at least 10 % of the batches (OVERFLOW), and batches cost at least 30 % of the "
      .. "time (COST) of the workers, or of the engine where that is the limit.",
    holds = function(case) return batches_cost(case) and case.step.input_overflow >= terms.OVERFLOW end,
    evidence = batch_evidence,
    sentence = function(case)
      return ("input_block_size is the limit: %s of the batches%s overflow it at %.0f messages, and batches cost %s "
        .. "of the time")
        :format(percent(case.step.input_overflow), step_name(case), case.step.mean, percent(case.cost))
    end,
    advice = function(case)
      return ("raise input_block_size from %s to %s, or leave it automatic"):format(
        units.show_size(case.step.input_block_size), units.show_size(case.step.input_block_size * 2))
    end,
    change = function(case) return doubled(case, "input_block_size") end,
  },
  {
    name = "batch_size",
    rule = "Batches cost at least 30 % of the time (COST), and most of them close by max_batch_size.",
    holds = function(case) return batches_cost(case) and main_close(case.step) == "size" end,
    evidence = batch_evidence,
    sentence = function(case)
      return ("max_batch_size is the limit: %s of the batches%s close at %s messages, and batches cost %s of the "
        .. "time"):format(
        percent(case.step.closes.size), step_name(case), number(case.step.mean), percent(case.cost))
    end,
    advice = function(case)
      return ("raise max_batch_size from %d to %d"):format(case.step.max_batch_size, case.step.max_batch_size * 2)
    end,
    change = function(case) return doubled(case, "max_batch_size") end,
  },
  {
    name = "batch_time",
    rule = "Batches cost at least 30 % of the time (COST), and most of them close by max_batch_time.",
    holds = function(case) return batches_cost(case) and main_close(case.step) == "time" end,
    evidence = batch_evidence,
    sentence = function(case)
      return ("max_batch_time is the limit: %s of the batches%s close by time with %.0f messages, and batches cost %s "
        .. "of the time")
        :format(percent(case.step.closes.time), step_name(case), case.step.mean, percent(case.cost))
    end,
    advice = function(case)
      local now = case.step.max_batch_time * 1e6
      return ("raise max_batch_time from %s to %s"):format(units.show_time(now), units.show_time(now * 2))
    end,
    change = function(case) return doubled(case, "max_batch_time") end,
  },
  {
    name = "output_block",
    rule = "Output blocks overflow at least once in ten batches (OVERFLOW), and the further rounds cost at least 30 % "
      .. "of the time (COST), or other batches wait, done, behind the one that needs them.",
    holds = function(case)
      local step = case.step
      return step and case.place ~= "source" and case.place ~= "output" and step.output_overflow >= terms.OVERFLOW
        and (case.output_cost >= terms.COST or step.blocked.oldest > step.blocked.workers)
    end,
    evidence = function(case)
      return { output_overflow = case.step.output_overflow, cost_of_rounds = case.output_cost,
        blocked_by_oldest = case.step.blocked.oldest, blocked_by_workers = case.step.blocked.workers }
    end,
    sentence = function(case)
      return ("output_block_size is the limit: results%s overflow it %.3g times a batch, and batches wait %s of the "
        .. "time for the further rounds"):format(step_name(case), case.step.output_overflow,
        percent(math.max(case.output_cost, case.step.blocked.oldest)))
    end,
    advice = function(case)
      return ("raise output_block_size from %s to %s, or leave it automatic"):format(
        units.show_size(case.step.output_block_size), units.show_size(case.step.output_block_size * 2))
    end,
    change = function(case) return doubled(case, "output_block_size") end,
  },
  {
    name = "commit",
    rule = "The output blocks the first step more than for any other cause, and for at least half of that time (MOST) "
      .. "a transaction is ending.",
    holds = function(case)
      local _, share = blocked_text(case)
      return at_output(case) and case.window.output.hold >= terms.MOST * share
    end,
    evidence = output_evidence,
    sentence = function(case)
      return ("commits are the limit: for %s of the time a transaction was ending, and nothing was sent"):format(
        percent(case.window.output.hold))
    end,
    advice = function(case)
      local now = case.window.setting.commit_interval
      return now > 0 and ("raise the commit interval (commit_offsets: policy) from %s to %s"):format(
        units.show_time(now * 1e6), units.show_time(now * 2e6))
        or "commit less often: commit_offsets { policy = \"once_per_second\" }"
    end,
    change = function(case)
      local now = case.window.setting.commit_interval
      return now > 0 and { option = "commit_interval", from = now, to = now * 2 } or nil
    end,
  },
  {
    name = "broker",
    rule = "The output blocks the first step more than for any other cause (in a window, not once), and what does not "
      .. "take its messages is Kafka.",
    holds = function(case) return at_output(case) and to_kafka(case) end,
    evidence = output_evidence,
    sentence = function(case)
      local what, share = blocked_text(case)
      return ("the brokers are the limit: for %s of the time %s, and messages are acknowledged after "
        .. "%s"):format(percent(share),
        what, time(case.window.output.latency))
    end,
    advice = function(case)
      return "look at the brokers; more partitions, linger.ms or max_buffer_size may help" .. fewer_text(case)
    end,
    change = fewer_processes,
  },
  {
    name = "next_step",
    rule = "As for broker, where the output is a file or a pipe.",
    holds = at_output,
    evidence = output_evidence,
    sentence = function(case)
      local what, share = blocked_text(case)
      return ("the next step is the limit: for %s of the time %s"):format(percent(share), what)
    end,
    advice = function(case) return "make what takes the output faster" .. fewer_text(case) end,
    change = fewer_processes,
  },
  {
    name = "script",
    rule = "One batch is run while others after it are done, a worker is idle and no batch is free, more than for any "
      .. "other cause; or workers stand at messages of more than 100 ms for at least 30 % of their time in the "
      .. "functions (SLOW), while the mean message takes less than 25 ms (SLOW_MEAN); or tide.retry holds the step up.",
    holds = function(case)
      local step = case.step
      if not step or case.place ~= "step" then return false end
      local blocked = step.blocked
      return blocked.oldest > blocked.workers or blocked.retry > blocked.workers
        or step.slow >= terms.SLOW and step.message_time < terms.SLOW_MEAN
    end,
    evidence = worker_evidence,
    sentence = function(case)
      local step = case.step
      if step.blocked.retry > step.blocked.workers then
        return ("the functions%s are the limit: for %s of the time messages waited to be tried again "
          .. "(tide.retry)"):format(
          step_name(case), percent(step.blocked.retry))
      end
      return ("single slow messages%s are the limit: for %s of the time one batch delayed others that were done, and "
        .. "%s of the time in the functions went to messages of more than 100 ms, while the mean is "
        .. "%s"):format(step_name(case),
        percent(step.blocked.oldest), percent(step.slow), time(step.message_time))
    end,
    advice = function(case)
      if case.step.blocked.retry > case.step.blocked.workers then return "the log says why they ask for it" end
      return "find the slow messages (slow_messages of /status, tidemill profile), or with order = \"key\" the key "
        .. "that has most of the messages; more processes help little"
    end,
  },
  {
    name = "workers",
    rule = "The first step takes nothing more than for any other cause, since its batches (or those of a later step) "
      .. "are with the workers. The functions compute when at least half of their time (WAITS) is on the processor or "
      .. "spent without a core, else they wait.",
    holds = function(case) return case.place == "step" and case.step.busy >= IDLE end,
    evidence = worker_evidence,
    sentence = function(case)
      local step = case.step
      return ("the workers are the limit: %d process%s%s %s %s in use, and the functions %s: %s of their time is on "
        .. "the processor, %s a message"):format(step.processes, step.processes == 1 and "" or "es", pool_name(case),
        step.processes == 1 and "is" or "are", percent(step.busy),
        they_wait(step) and "wait" or "compute", percent(step.cpu), time(step.message_time))
    end,
    advice = function(case)
      local change, waits = more_processes(case), they_wait(case.step)
      if change then
        local whose = #case.step.sharing > 1 and " of the pool" or ""
        return ("raise processes%s from %d to %d%s"):format(whose, change.from, change.to,
          waits and ": functions that wait need no core" or "")
      end
      return ("all %d cores are in use: make the functions faster, or run a second engine on another machine"):format(
        case.window.setting.cores)
    end,
    change = more_processes,
  },
  {
    name = "engine",
    rule = "The engine works more than it waits for anything, and batches cost less than 30 % of that (COST); or "
      .. "messages are at a step whose workers have nothing to do (IDLE), as when all are rejected before them.",
    holds = function(case) return case.place == "engine" or (case.place == "step" and case.step.busy < IDLE) end,
    evidence = engine_evidence,
    sentence = function(case)
      local engine = case.window.engine
      return ("the engine is the limit: its one thread works for %s of the time, %s of it on the processor"):format(
        percent(engine.busy), percent(engine.cpu / math.max(engine.busy, 1e-9)))
    end,
    advice = function(case)
      local engine = case.window.engine
      return engine.cpu < engine.busy * terms.WAITS
        and "other processes take its core: use fewer processes or more cores"
        or "run more engines (engines = 2, or run --engines), which share the partitions"
    end,
  },
}

--- What is said when there is no limit.
limits.none = {
  name = "none",
  rule = "The engine waits for the source at least 15 % of the time (SLACK), and nothing is behind: it keeps up.",
  evidence = engine_evidence,
  sentence = function(case)
    local engine, step = case.window.engine, case.step
    return ("there is no limit: it keeps up, and waits for messages %s of the time (engine busy %s%s)"):format(
      percent(engine.source), percent(engine.busy), step and (", workers in use %s"):format(percent(step.busy)) or "")
  end,
  advice = function() return nil end,
}

return limits
