-- SPDX-License-Identifier: MIT
-- steps/unfold.lua: makes several messages of one. Its functions hold no state; plan/group.lua decides in which workers
-- they run.
return {
  name = "unfold",
  kind = "task",
  role = "function",
  summary = "makes several messages of one; its offset is committed once all of them are delivered",
  example = 'tide.unfold { function(message) return { message.value .. "1", message.value .. "2" } end }',
  positional = { name = "functions", type = "functions", required = true,
    help = "A Lua file that returns a function, or a function, or several: each returns an array of results "
      .. "(messages, copies, strings, tables); an empty one, or tide.drop, filters the message." },
  options = {},
  entries = function(values)
    local entries = {}
    for i, item in ipairs(values.functions) do entries[i] = { kind = "unfold", of = item } end
    return entries
  end,
}
