-- SPDX-License-Identifier: MIT
-- Look up a whole batch at once.
-- lookup.lua gets all messages of a batch, so that it can ask a database for many keys in one query.
--   tidemill run scripts/batch_lookup.lua --input scripts/samples/users.txt
local tide = require "tidemill"

return tide.pipeline "batch-lookup" {
  tide.kafka_source { brokers = tide.param("brokers", "127.0.0.1:9092"), topic = "users", group = "batch-lookup",
    start = "earliest" },
  tide.run_task_with_multiprocessing {
    "lookup.lua", processes = tide.param("processes", 2), max_batch_size = 500,
  },
  tide.produce { topic = "users.named" },
  tide.commit_offsets {},
  dlq = tide.dlq { topic = "users.dlq" },
}
