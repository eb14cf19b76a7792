-- SPDX-License-Identifier: MIT
-- The pipeline of packaging/kubernetes. HOSTNAME is the pod's name, which a pod of a StatefulSet has again after a
-- restart: with `instance` it gets its partitions back without a rebalance.
local tide = require "tidemill"

return tide.pipeline "orders" {
  tide.kafka_source { brokers = tide.param("brokers", "kafka:9092"), topic = "orders", group = "orders",
    start = "earliest", instance = tide.env "HOSTNAME" },
  tide.run_task_with_multiprocessing { "transform.lua" },
  tide.produce { topic = "orders.clean" },
  tide.commit_offsets { policy = "once_per_second" },
  dlq = tide.dlq { topic = "orders.dlq" },
}
