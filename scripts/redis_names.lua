-- SPDX-License-Identifier: MIT
-- The transform of redis_lookup.lua: adds to each user the name that Redis has under user:ID.
local tide = require "tidemill"
local redis = require "redis"

local host, port = tide.env("REDIS", "127.0.0.1:6379"):match "^(.*):(%d+)$"
local client

local function ask(keys)
  client = client or redis.connect(host, tonumber(port)) -- tidemill: cache
  return client:mget(keys)
end

return {
  batch = function(messages)
    local keys, results = {}, {}
    for i, message in ipairs(messages) do keys[i] = "user:" .. tide.json.text(message.json.id) end
    local reached, names = pcall(ask, keys)
    if not reached then client = nil end -- tidemill: cache (it connects anew next time)
    for i, message in ipairs(messages) do
      message.json.name = reached and names[i] or nil
      results[i] = reached and message or tide.retry(names)
    end
    return results
  end,
}
