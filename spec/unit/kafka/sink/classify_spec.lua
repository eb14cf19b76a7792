-- SPDX-License-Identifier: MIT
-- What an error of librdkafka means for a record (kafka/sink/classify.h), line by line of its tables.
local ffi = require "ffi"
local C = require("spec.support.headers").declare("kafka/sink/classify.h")

-- Errors by librdkafka's names; those of the protocol are positive, its own (with two underscores) negative.
local E = {
  NO_ERROR = 0, INVALID_MSG = 2, UNKNOWN_TOPIC_OR_PART = 3, LEADER_NOT_AVAILABLE = 5, NOT_LEADER_FOR_PARTITION = 6,
  REQUEST_TIMED_OUT = 7, MSG_SIZE_TOO_LARGE = 10, TOPIC_EXCEPTION = 17, RECORD_LIST_TOO_LARGE = 18,
  NOT_ENOUGH_REPLICAS = 19, NOT_ENOUGH_REPLICAS_AFTER_APPEND = 20, TOPIC_AUTHORIZATION_FAILED = 29,
  INVALID_TIMESTAMP = 32, POLICY_VIOLATION = 44, OUT_OF_ORDER_SEQUENCE_NUMBER = 45, KAFKA_STORAGE_ERROR = 56,
  INVALID_RECORD = 87, __FATAL = -150, __PURGE_INFLIGHT = -151, __PURGE_QUEUE = -152, __STATE = -172,
  __QUEUE_FULL = -184, __INVALID_ARG = -186, __UNKNOWN_TOPIC = -188, __UNKNOWN_PARTITION = -190,
  __MSG_TIMED_OUT = -192, __DESTROY = -197,
}

-- Those that the broker gives a whole batch for one bad record in it.
local BATCH = { "INVALID_MSG", "MSG_SIZE_TOO_LARGE", "RECORD_LIST_TOO_LARGE", "INVALID_TIMESTAMP", "POLICY_VIOLATION",
  "INVALID_RECORD" }
-- Those of a topic. An unknown partition is one of them if it was there at the start.
local TOPIC = { "UNKNOWN_TOPIC_OR_PART", "LEADER_NOT_AVAILABLE", "NOT_LEADER_FOR_PARTITION", "TOPIC_EXCEPTION",
  "NOT_ENOUGH_REPLICAS", "NOT_ENOUGH_REPLICAS_AFTER_APPEND", "TOPIC_AUTHORIZATION_FAILED", "KAFKA_STORAGE_ERROR",
  "__UNKNOWN_TOPIC" }
local OTHER = { "REQUEST_TIMED_OUT", "OUT_OF_ORDER_SEQUENCE_NUMBER", "__PURGE_INFLIGHT", "__PURGE_QUEUE",
  "__MSG_TIMED_OUT" }

local function facts(names)
  local set = ffi.new "struct tide_kafka_facts"
  for name in names:gmatch "[%w_]+" do set[name] = true end
  return set
end

-- rows: { errors, names of the facts that hold, the action }
local function check(classify, prefix, rows)
  for _, row in ipairs(rows) do
    for _, name in ipairs(row[1]) do
      local action = tonumber(classify(assert(E[name], name), facts(row[2])))
      assert.equal(tonumber(C[prefix .. row[3]]), action, ("%s with [%s] is not %s"):format(name, row[2], row[3]))
    end
  end
end

describe("the classification of a delivery report", function()
  local function reports(rows) check(C.tide_kafka_classify_report, "TIDE_KAFKA_REPORT_", rows) end

  it("the classification of a delivery report calls a record without an error delivered, whatever else"
    .. " holds", function()
    reports {
      { { "NO_ERROR" }, "", "DELIVERED" },
      { { "NO_ERROR" }, "transactional dead_letter", "DELIVERED" },
      { { "NO_ERROR" }, "producer_lost sent_alone", "DELIVERED" },
    }
  end)

  it("the classification of a delivery report tries the records of a refused batch alone, and refuses"
    .. " the one that is refused alone", function()
    reports {
      { BATCH, "partition_existed", "TRY_ALONE" },
      { BATCH, "partition_existed dead_letter", "TRY_ALONE" },
      { BATCH, "partition_existed sent_alone", "REFUSED" },
      { BATCH, "partition_existed sent_alone dead_letter", "REFUSED" },
    }
  end)

  it("the classification of a delivery report refuses a record for a partition that has never been"
    .. " there, and what librdkafka rejects", function()
    reports {
      { { "__UNKNOWN_PARTITION" }, "", "REFUSED" },
      { { "__INVALID_ARG" }, "partition_existed", "REFUSED" },
    }
  end)

  it("the classification of a delivery report stops for what is no fault of a record", function()
    reports {
      { TOPIC, "partition_existed", "STOP" },
      { { "__UNKNOWN_PARTITION" }, "partition_existed", "STOP" },
      { OTHER, "partition_existed", "STOP" },
      { OTHER, "partition_existed sent_alone", "STOP" },
    }
  end)

  it("the classification of a delivery report lets a dead letter wait for its topic, but for nothing else", function()
    reports {
      { TOPIC, "dead_letter partition_existed", "REFUSED" },
      { { "__UNKNOWN_PARTITION" }, "dead_letter partition_existed", "REFUSED" },
      { OTHER, "dead_letter partition_existed", "STOP" },
    }
  end)

  it("the classification of a delivery report sends everything again that a lost producer had", function()
    for _, errors in ipairs { BATCH, TOPIC, OTHER, { "__UNKNOWN_PARTITION", "__INVALID_ARG" } } do
      reports {
        { errors, "producer_lost", "SEND_AGAIN" },
        { errors, "producer_lost partition_existed dead_letter sent_alone", "SEND_AGAIN" },
      }
    end
  end)

  it("the classification of a delivery report sends nothing again in a transaction: it refuses what may"
    .. " be bad, and the rest is aborted with it", function()
    for _, others in ipairs { "", " producer_lost", " dead_letter", " sent_alone" } do
      reports {
        { BATCH, "transactional partition_existed" .. others, "REFUSED" },
        { { "__INVALID_ARG" }, "transactional partition_existed" .. others, "REFUSED" },
        { { "__UNKNOWN_PARTITION" }, "transactional" .. others, "REFUSED" },
        { { "__UNKNOWN_PARTITION" }, "transactional partition_existed" .. others, "ABORTED" },
        { TOPIC, "transactional partition_existed" .. others, "ABORTED" },
        { OTHER, "transactional partition_existed" .. others, "ABORTED" },
      }
    end
  end)
end)

describe("the classification of a record that librdkafka does not take", function()
  local function errors(rows) check(C.tide_kafka_classify_produce, "TIDE_KAFKA_PRODUCE_", rows) end

  it("the classification of a record that librdkafka does not take refuses a bad record and one for a"
    .. " partition that has never been there, in a transaction too", function()
    for _, transactional in ipairs { "", " transactional" } do
      errors {
        { { "NO_ERROR" }, "partition_existed" .. transactional, "TAKEN" },
        { { "MSG_SIZE_TOO_LARGE", "__INVALID_ARG" }, "partition_existed" .. transactional, "REFUSED" },
        { { "__UNKNOWN_PARTITION" }, transactional, "REFUSED" },
      }
    end
  end)

  it("the classification of a record that librdkafka does not take waits when the queue is full or a"
    .. " fatal error is on its way", function()
    errors {
      { { "__QUEUE_FULL", "__FATAL" }, "partition_existed", "WAIT" },
      { { "__QUEUE_FULL", "__FATAL" }, "partition_existed transactional dead_letter", "WAIT" },
    }
  end)

  it("the classification of a record that librdkafka does not take stops for a topic that takes"
    .. " nothing, or aborts the transaction, unless it is a dead letter's", function()
    for _, names in ipairs { TOPIC, { "__UNKNOWN_PARTITION" } } do
      errors {
        { names, "partition_existed", "STOP" },
        { names, "partition_existed transactional", "ABORT" },
        { names, "partition_existed dead_letter", "REFUSED" },
        { names, "partition_existed dead_letter transactional", "REFUSED" },
      }
    end
  end)

  it("the classification of a record that librdkafka does not take aborts a transaction that takes no"
    .. " more, and stops for anything else", function()
    errors {
      { { "__STATE" }, "partition_existed transactional", "ABORT" },
      { { "__STATE" }, "partition_existed", "STOP" },
      { OTHER, "partition_existed", "STOP" },
      { OTHER, "partition_existed transactional", "STOP" },
    }
  end)
end)

describe("the error of a delivery report", function()
  it("the error of a delivery report is that of an unknown partition when the partition was destroyed", function()
    for name, error in pairs(E) do
      assert.equal(name == "__DESTROY" and E.__UNKNOWN_PARTITION or error, C.tide_kafka_report_error(error), name)
    end
  end)
end)

describe("the report of a refused record", function()
  it("the report of a refused record names its size, its transaction, or its topic as the reason", function()
    local rows = { -- error, dead letter, aborted, kind
      { "INVALID_RECORD", false, false, "REFUSED" },
      { "INVALID_RECORD", true, false, "REFUSED" },
      { "INVALID_RECORD", true, true, "REFUSED_ABORTED" },
      { "MSG_SIZE_TOO_LARGE", false, false, "TOO_LARGE" },
      { "RECORD_LIST_TOO_LARGE", true, false, "TOO_LARGE" },
      { "RECORD_LIST_TOO_LARGE", false, true, "TOO_LARGE_ABORTED" },
      { "__UNKNOWN_PARTITION", false, false, "REFUSED" },
      { "__UNKNOWN_PARTITION", true, false, "UNAVAILABLE" },
      { "NOT_ENOUGH_REPLICAS", true, false, "UNAVAILABLE" },
    }
    for _, row in ipairs(rows) do
      local kind = C.tide_kafka_refusal_kind(E[row[1]], row[2], row[3])
      assert.equal(tonumber(C["TIDE_REPORT_" .. row[4]]), tonumber(kind), table.concat({ row[1], row[4] }, " "))
    end
  end)
end)
