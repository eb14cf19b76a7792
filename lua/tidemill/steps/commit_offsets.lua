-- SPDX-License-Identifier: MIT
-- steps/commit_offsets.lua: commits the lowest unfinished offset of each partition.
local function limits(policy)
  if policy == "immediate" then return 0, 0 end
  if policy == "once_per_second" then return 1e6, 0 end
  return policy.min_time or 0, policy.min_messages or 0
end

return {
  name = "commit_offsets",
  kind = "commit",
  summary = "commits the offsets of what is through",
  example = 'tide.commit_offsets { policy = "once_per_second" }',
  options = {
    { name = "policy", type = "choice", values = { "immediate", "once_per_second" }, default = "once_per_second",
      options = {
        { name = "min_time", type = "time", unit = "seconds", above_zero = true,
          help = "Commit when so long passed since the last commit ..." },
        { name = "min_messages", type = "count", unit = "messages", min = 1, max = 1e12,
          help = "... or when so many messages are through since; exactly_once commits each second at the latest." },
      },
      help = "When: immediate, once_per_second, or a table { min_time = TIME, min_messages = COUNT } (either or both: "
        .. "whatever comes first)." },
  },
  check = function(values, fault)
    if type(values.policy) == "table" and next(values.policy) == nil then
      fault('option "policy" = {}: needs min_time, min_messages or both')
    end
  end,
  plan = function(values, draft)
    local min_time, min_messages = limits(values.policy)
    draft.commit = { enabled = true, min_time_us = min_time, min_messages = min_messages }
  end,
}
