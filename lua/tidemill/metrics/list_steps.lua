-- SPDX-License-Identifier: MIT
-- metrics/list_steps.lua: the metrics of single kinds of steps, as metrics/list.lua has them.
return {
  { "filter.dropped_messages", nil, "counter", "messages", "FILTER_DROPPED_MESSAGES",
    "Messages filtered by the step's functions: a filter returned false or nil, a function returned nil or "
      .. "tide.drop." },
  { "reduce.batch_time", nil, "histogram", "seconds", "REDUCE_BATCH_TIME",
    "How long a batch of reduce, buffer or batch was open.",
    "Flat at max_batch_time: it ends by time, with fewer messages than max_batch_size." },
  { "keyed.timers", nil, "counter", "timers", "KEYED_TIMERS", "Timers that were due, and went to the workers." },
  { "keyed.waiting_timers", nil, "gauge", "timers", "KEYED_WAITING_TIMERS",
    "Timers that wait for their time, one for each key with open windows: those in the store, as of the last commit.",
    "Growing all the time: the watermark stands still (watermark_lag), or keys never come again and have no end." },
  { "keyed.ahead", nil, "counter", "messages", "KEYED_AHEAD",
    "Messages whose time is further ahead of the clock than max_ahead: they do not move the watermark.",
    "The log names one. A clock was wrong, or the option time_unit is." },
  { "keyed.watermark_lag", nil, "gauge", "seconds", "KEYED_WATERMARK_LAG",
    "How far the watermark is behind the clock, in the partition where it is furthest behind. 0 where it is ahead.",
    "Growing while consumer.lag does not: in a partition nothing comes, or of one topic of several; windows there wait."
  },
}
