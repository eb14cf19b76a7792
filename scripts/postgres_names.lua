-- SPDX-License-Identifier: MIT
-- The transform of postgres_lookup.lua: adds to each user the name that the table users has for its id.
local tide = require "tidemill"
local driver = require("luasql.postgres").postgres()

local where = ("host=%s port=%s"):format(tide.env("POSTGRES", "127.0.0.1:5432"):match "^(.*):(%d+)$")
local connection

local function ask(ids)
  connection = connection or assert(driver:connect(where)) -- tidemill: cache
  local query = "SELECT id, name FROM users WHERE id IN (" .. table.concat(ids, ",") .. ")"
  local cursor = assert(connection:execute(query))
  local names = {}
  for id, name in function() return cursor:fetch() end do names[id] = name end
  return names
end

return {
  batch = function(messages)
    local ids, results = {}, {}
    for i, message in ipairs(messages) do
      local id = message.json.id
      assert(tide.json.type(id) == "number", "id is no number") -- so it is no SQL either
      ids[i] = tide.json.text(id)
    end
    local reached, names = pcall(ask, ids)
    if not reached then connection = nil end -- tidemill: cache (it connects anew next time)
    for i, message in ipairs(messages) do
      if reached then message.json.name = names[ids[i]] end
      results[i] = reached and message or tide.retry(names)
    end
    return results
  end,
}
