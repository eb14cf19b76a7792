-- SPDX-License-Identifier: MIT
-- steps/filter.lua: functions that hold no state; plan/group.lua says in which workers they run.
return {
  name = "filter",
  kind = "task",
  role = "function",
  summary = "keeps the messages for which its function returns true; the offsets of the others still move",
  example = 'tide.filter { function(message) return message.key ~= nil end }',
  positional = { name = "functions", type = "functions", required = true,
    help = "A Lua file that returns a function, or a function, or several: each returns true (keep) or "
      .. "false; anything else rejects the message." },
  options = {},
  entries = function(values)
    local entries = {}
    for i, item in ipairs(values.functions) do entries[i] = { kind = "filter", of = item } end
    return entries
  end,
}
