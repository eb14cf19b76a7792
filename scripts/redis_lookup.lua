-- SPDX-License-Identifier: MIT
-- Look up in Redis.
-- redis_names.lua asks for the names of a whole batch with one MGET. While Redis is down, messages wait. It needs
-- Debian's packages lua-redis and lua-socket, which work with LuaJIT.
local tide = require "tidemill"

return tide.pipeline "redis-lookup" {
  tide.kafka_source { brokers = tide.param("brokers", "127.0.0.1:9092"), topic = "users", group = "redis-lookup",
    start = "earliest" },
  tide.run_task_with_multiprocessing { "redis_names.lua", processes = tide.param("processes", 2) },
  tide.produce { topic = "users.named" },
  tide.commit_offsets {},
  dlq = tide.dlq { topic = "users.dlq" },
  network = { tide.env("REDIS", "127.0.0.1:6379") },
  env = { "REDIS" },
}
