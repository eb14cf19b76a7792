-- SPDX-License-Identifier: MIT
-- librdkafka's mock cluster in a process of its own (build/mock_kafka), for what a real broker does not do on demand:
-- it fails requests by their kind, answers late, moves leaders and coordinators. It keeps no transactions and 100,000
-- messages a partition: no proof of delivery, only of what an error does. It runs with the librdkafka of TIDE_RDKAFKA
-- where that is set: with older ones a first join takes 3 s.
local kafka = require "spec.support.kafka"
local wait = require "spec.support.wait"

local mock_kafka = {}
local methods = {}
local metatable = { __index = methods }
local started = {}

local rdkafka = os.getenv("TIDE_RDKAFKA")

--- For session.timeout.ms: longer than a first join, which else would never end. A later join takes a second less.
mock_kafka.SESSION_MS = rdkafka and 2000 or 4000

-- Numbers of Kafka's protocol.
mock_kafka.API = { produce = 0, fetch = 1, list_offsets = 2, metadata = 3, offset_commit = 8, offset_fetch = 9,
  find_coordinator = 10, join_group = 11, heartbeat = 12, sync_group = 14,
  init_producer_id = 22, end_txn = 26 }
mock_kafka.ERROR = { request_timed_out = 7, coordinator_load_in_progress = 14, coordinator_not_available = 15,
  not_coordinator = 16, illegal_generation = 22, unknown_member_id = 25, rebalance_in_progress = 27,
  fenced_instance_id = 82 }

local function lines_of(path)
  local lines = {}
  for line in io.lines(path) do lines[#lines + 1] = line end
  return lines
end

--- Starts one with so many brokers; spec.support.kafka speaks to it until stop_all().
function mock_kafka.start(brokers)
  local self = setmetatable({ path = os.tmpname(), answers = 1 }, metatable)
  self.pipe = assert(io.popen(("env -u LD_PRELOAD LD_LIBRARY_PATH=%s build/mock_kafka %d >%s"):format(
    rdkafka or "", brokers or 1, self.path), "w"))
  started[#started + 1] = self
  self.bootstrap = wait.until_true(function() return lines_of(self.path)[1] end, "the mock Kafka")
  kafka.use(self.bootstrap)
  return self
end

--- A command of scripts/dev/mock_kafka.c, done when this returns.
function methods:tell(...)
  self.pipe:write(table.concat({ ... }, " "), "\n")
  self.pipe:flush()
  self.answers = self.answers + 1
  local answer = wait.until_true(function() return lines_of(self.path)[self.answers] end, "an answer")
  assert(answer == "ok", answer)
end

--- The next `count` (1) requests of that kind fail.
function methods:fail(api, name, count)
  for _ = 1, count or 1 do self:tell("errors", mock_kafka.API[api], mock_kafka.ERROR[name]) end
end

--- A new topic's name.
function methods:topic(partitions)
  self.topics = (self.topics or 0) + 1
  local name = "topic-" .. self.topics
  self:tell("topic", name, partitions)
  return name
end

--- For after_each.
function mock_kafka.stop_all()
  for _, one in ipairs(started) do
    one.pipe:close()
    os.remove(one.path)
  end
  started = {}
  kafka.use(nil)
end

return mock_kafka
