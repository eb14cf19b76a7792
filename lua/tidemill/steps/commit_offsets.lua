-- SPDX-License-Identifier: MIT
-- steps/commit_offsets.lua: commits the position of each partition, below which every message is complete.
local function limits(policy)
  if policy == "immediate" then return 0, 0 end
  if policy == "once_per_second" then return 1e6, 0 end
  return policy.min_time or 0, policy.min_messages or 0
end

return {
  name = "commit_offsets",
  kind = "commit",
  summary = "commits the offsets of complete messages (delivered, filtered or dead-lettered)",
  example = 'tide.commit_offsets { policy = "once_per_second" }',
  options = {
    { name = "policy", type = "choice", values = { "immediate", "once_per_second" }, default = "once_per_second",
      options = {
        { name = "min_time", type = "time", unit = "seconds", above_zero = true,
          help = "Commit when this long has passed since the last commit ..." },
        { name = "min_messages", type = "count", unit = "messages", min = 1, max = 1e12,
          help = "... or when this many messages have become complete since; exactly_once commits every second at the "
            .. "latest." },
      },
      help = "When to commit: immediate, once_per_second, or a table { min_time = TIME, min_messages = COUNT } with "
        .. "one or both of these (whichever comes first)." },
  },
  check = function(values, fault)
    if type(values.policy) == "table" and next(values.policy) == nil then
      fault('option "policy" = {}: needs min_time, min_messages or both')
    end
  end,
  plan = function(values, tables)
    local min_time, min_messages = limits(values.policy)
    tables.commit = { enabled = true, min_time_us = min_time, min_messages = min_messages }
  end,
}
