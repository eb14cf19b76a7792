-- SPDX-License-Identifier: MIT
-- Look up in PostgreSQL: the names of a whole batch by one query (postgres_names.lua). The database may be away: the
-- messages wait for it. Takes Debian's lua-sql-postgres, which runs under LuaJIT.
local tide = require "tidemill"

return tide.pipeline "postgres-lookup" {
  tide.kafka_source { brokers = tide.param("brokers", "127.0.0.1:9092"), topic = "users", group = "postgres-lookup",
    start = "earliest" },
  tide.run_task_with_multiprocessing { "postgres_names.lua", processes = tide.param("processes", 2) },
  tide.produce { topic = "users.named" },
  tide.commit_offsets {},
  dlq = tide.dlq { topic = "users.dlq" },
  network = { tide.env("POSTGRES", "127.0.0.1:5432") },
  env = { "POSTGRES", "PGUSER", "PGDATABASE" },
}
