-- SPDX-License-Identifier: MIT
-- steps/reload.lua: how transforms that were loaded anew are judged (docs/reload.md).
return {
  name = "reload",
  kind = "setting",
  summary = "how a reload is tried on a share of the batches, and when it is rolled back",
  example = 'reload = tide.reload { canary = "5%", watch_time = "5min", max_rejected = 100 }',
  options = {
    { name = "canary", type = "share", min = 0, max = 1, default_text = "0: they take over as soon as they are ready",
      help = "The share of the batches that workers of the new transforms run as well before they take over, with all "
        .. "side effects. Their results are thrown away. The reload is refused if they reject more than max_rejected "
        .. "and max_rejected_ratio of what the present transforms accept, or if a worker dies or hangs. The flag "
        .. "--canary of `tidemill reload` overrides it." },
    { name = "compare", type = "boolean", default = false,
      help = "Whether the first result, or change of state, that is not byte for byte the same refuses the reload. The "
        .. "flag --compare of `tidemill reload` sets it." },
    { name = "canary_messages", type = "count", unit = "messages", min = 1, max = 1e12, default = 1000,
      help = "The new transforms take over when each step has run so many messages in the canary, or after "
        .. "canary_time." },
    { name = "canary_time", type = "time", unit = "seconds", default = "1min", above_zero = true,
      help = "The longest time that a canary takes, also if there are few messages." },
    { name = "watch_time", type = "time", unit = "seconds", default = "30s",
      help = "How long the older transforms are kept after a reload, so that it can be rolled back. They keep the "
        .. "memory of what they have loaded, but no worker. 0: they are dropped at once." },
    { name = "max_rejected", type = "count", unit = "messages", min = 0, max = 1e12, default = 10,
      help = "How many messages of a step may fail in that time: they are rejected, or a worker dies of them. With "
        .. "more, and a share above max_rejected_ratio, the reload is rolled back." },
    { name = "max_rejected_ratio", type = "number", min = 0, max = 1, default = 0.05,
      help = "By how much the share of messages that fail may be higher than before the reload, for each step: 0.05 "
        .. "allows a step that rejected one message in a hundred to reject six." },
  },
  plan = function(values, tables)
    tables.reload = {
      canary_messages = values.canary_messages,
      canary_us = values.canary_time,
      watch_us = values.watch_time,
      max_rejected = values.max_rejected,
      max_rejected_ratio = values.max_rejected_ratio,
    }
    tables.canary = { share = values.canary or 0, compare = values.compare }
  end,
}
