-- SPDX-License-Identifier: MIT
-- steps/reload.lua: how transforms that were loaded anew are judged (docs/reload.md).
return {
  name = "reload",
  kind = "setting",
  summary = "how a reload is tried on a share of the batches, and when it goes back to the transforms that ran before",
  example = 'reload = tide.reload { canary = "5%", watch_time = "5min", max_rejected = 100 }',
  options = {
    { name = "canary", type = "share", min = 0, max = 1, default_text = "0: they take over as soon as they are ready",
      help = "The share of the batches that workers of the new transforms run as well before they take over, with all "
        .. "side effects. Their results are thrown away. When they reject too much (max_rejected, max_rejected_ratio: "
        .. "what those that run accept), or a worker dies or hangs, the reload is refused. The flag --canary of "
        .. "`tidemill reload` overrides it." },
    { name = "compare", type = "boolean", default = false,
      help = "Whether a canary is refused at the first result, or change of state, that is not byte for byte the same. "
        .. "The flag --compare of `tidemill reload` sets it." },
    { name = "canary_messages", type = "count", unit = "messages", min = 1, max = 1e12, default = 1000,
      help = "The new transforms take over when each step has run so many messages in the canary, or after "
        .. "canary_time." },
    { name = "canary_time", type = "time", unit = "seconds", default = "1min", above_zero = true,
      help = "How long a canary takes at most, however few messages there are." },
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
      canary_messages = values.canary_messages,
      canary_us = values.canary_time,
      watch_us = values.watch_time,
      max_rejected = values.max_rejected,
      max_rejected_ratio = values.max_rejected_ratio,
    }
    tables.canary = { share = values.canary or 0, compare = values.compare }
  end,
}
