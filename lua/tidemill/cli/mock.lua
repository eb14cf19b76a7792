-- SPDX-License-Identifier: MIT
-- cli/mock.lua: --mock-kafka: a Kafka in this process (engine/io/mock.h) with the pipeline's topics, fed from
-- a file and drained to one. It has threads, so it is made after the zygote was forked.
local ffi = require("ffi")
local tide = require("tidemill.run.ffi")

local mock = {}
local Mock = {}
Mock.__index = Mock

local PARTITIONS = 16

local function failure()
  return nil, ffi.string(tide.C.tide_error())
end

local function make_topics(self, topics)
  for _, side in ipairs { topics.source, topics.sink } do
    for _, name in ipairs(side) do
      if not self.made[name] and tide.C.tide_mock_topic(self.handle, name, PARTITIONS) < 0 then return failure() end
      self.made[name] = true
    end
  end
  return true
end

--- options: feed, out (paths, may be nil). nil and the reason when it cannot be had.
function mock.new(plan, options)
  local handle = tide.C.tide_mock_new(1)
  if handle == nil then return failure() end
  local self = setmetatable({ handle = handle, made = {}, feeding = options.feed ~= nil }, Mock)
  local topics, target = plan:kafka_topics(), plan.draft.sink
  local done, reason = make_topics(self, topics)
  if done and options.feed then
    done = tide.C.tide_mock_feed(handle, topics.source[1], PARTITIONS, options.feed) >= 0
  end
  if done and target.medium == "TIDE_MEDIUM_KAFKA" then
    self.draining = true
    done = tide.C.tide_mock_drain(handle, target.topics[1], PARTITIONS, options.out or "-") >= 0
  end
  if done then return self end
  reason = reason or select(2, failure())
  self:free()
  return nil, reason
end

function Mock:brokers()
  return ffi.string(tide.C.tide_mock_brokers(self.handle))
end

local function finished(totals)
  return totals.produced_from + totals.filtered + totals.dead_lettered
end

--- One turn between two turns of the engine: nil and the reason on failure; true once all that was fed is
--- through, false before.
function Mock:turn(totals)
  local through = finished(totals)
  if tide.C.tide_mock_turn(self.handle, through) < 0 then return failure() end
  return self.feeding and tide.C.tide_mock_fed_all(self.handle)
    and through >= tonumber(tide.C.tide_mock_fed(self.handle))
end

--- True when everything that was produced was written to the output.
function Mock:drained(totals)
  return not self.draining or tonumber(tide.C.tide_mock_drained(self.handle)) >= totals.produced
end

function Mock:free()
  if self.handle then tide.C.tide_mock_free(self.handle) end
  self.handle = nil
end

return mock
