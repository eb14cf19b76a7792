-- SPDX-License-Identifier: MIT
-- steps/reload.lua: how transforms that were loaded anew are judged (docs/reload.md).
return {
  name = "reload",
  kind = "setting",
  summary = "when a reload goes back to the transforms that ran before",
  example = 'reload = tide.reload { watch_time = "5min", max_rejected = 100 }',
  options = {
    { name = "watch_time", type = "time", unit = "seconds", default = "30s",
      help = "How long the transforms that ran before are kept after others have taken over, to go back to. It takes "
        .. "the memory of what they have loaded, and no worker. 0: they are gone at once." },
    { name = "max_rejected", type = "count", unit = "messages", min = 0, max = 1e12, default = 10,
      help = "How many messages of a step may fail in that time: it rejects them, or a worker dies of them. With more, "
        .. "and a share above max_rejected_ratio, those that ran before take over again." },
    { name = "max_rejected_ratio", type = "number", min = 0, max = 1, default = 0.05,
      help = "By how much the share of the messages that fail may be larger than it was before. Both are counted for "
        .. "each step: 0.05 allows a step that rejected one message in a hundred to reject six." },
  },
  plan = function(values, tables)
    tables.reload = {
      watch_us = values.watch_time,
      max_rejected = values.max_rejected,
      max_rejected_ratio = values.max_rejected_ratio,
    }
  end,
}
