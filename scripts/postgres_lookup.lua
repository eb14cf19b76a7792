-- SPDX-License-Identifier: MIT
-- Look up in PostgreSQL.
-- postgres_names.lua asks for the names of a whole batch in one query. While the database is down, messages wait. It
-- needs Debian's package lua-sql-postgres, which works with LuaJIT.
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
