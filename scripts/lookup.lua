-- SPDX-License-Identifier: MIT
-- The transform of batch_lookup.lua: it gets all messages of a batch and returns as many results.
local store -- stands for a connection to a database

local function ask(keys)
  local names = {}
  for key in pairs(keys) do names[key] = store[key] end
  return names
end

return {
  start = function() store = { u1 = "Ada", u2 = "Grace" } end, -- once in each worker
  batch = function(messages)
    local keys, results = {}, {}
    for _, message in ipairs(messages) do keys[message.value] = true end
    local names = ask(keys) -- one question for all of them
    for i, message in ipairs(messages) do results[i] = names[message.value] or false end -- false: filtered
    return results
  end,
  close = function() store = nil end,
}
