-- SPDX-License-Identifier: MIT
-- steps/filter.lua: keeps or drops messages. Its functions hold no state; plan/group.lua decides in which workers they
-- run.
return {
  name = "filter",
  kind = "task",
  role = "function",
  summary = "keeps the messages for which its function returns a true value; the offsets of the others still move",
  example = 'tide.filter { function(message) return message.key end }',
  positional = { name = "functions", type = "functions", required = true,
    help = "A Lua file that returns a function, or a function, or several. nil, false and tide.drop drop the message; "
      .. "anything else keeps it, except tide.reject and tide.retry, which work as in a transform. tide.null, which a "
      .. "JSON null is read as, is not nil and keeps it: compare, as message.json.ok == true." },
  options = {},
  entries = function(values)
    local entries = {}
    for i, item in ipairs(values.functions) do entries[i] = { kind = "filter", of = item } end
    return entries
  end,
}
