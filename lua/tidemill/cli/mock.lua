-- SPDX-License-Identifier: MIT
-- cli/mock.lua: --mock-kafka runs a Kafka in this process (engine/kafka/mock.h) with the pipeline's topics, fed from
-- a file and drained to one. It has threads, so it is made after the zygote is forked.
local ffi = require("ffi")
local tide = require("tidemill.run.ffi")

local mock = {}
local Mock = {}
Mock.__index = Mock

local PARTITIONS = 16

-- Returns nil, the text and the exit code of a failed call.
local function failure(status)
  return nil, ffi.string(tide.C.tide_error()), -(status or tide.C.TIDE_EINTERNAL)
end

local function make_topics(self, topics)
  for _, side in ipairs { topics.source, topics.sink } do
    for _, name in ipairs(side) do
      local status = self.made[name] and 0 or tide.C.tide_mock_topic(self.handle, name, PARTITIONS)
      if status < 0 then return status end
      self.made[name] = true
    end
  end
  return 0
end

-- Makes topics, feed and drain. Returns 0, or the status of what failed.
local function set_up(self, plan, options)
  local topics, target = plan:kafka_topics(), plan.tables.sink
  local status = make_topics(self, topics)
  if status >= 0 and self.feeding then
    status = tide.C.tide_mock_feed(self.handle, topics.source[1], PARTITIONS, options.feed)
  end
  if status >= 0 and target.medium == "TIDE_MEDIUM_KAFKA" then
    self.draining, self.several = true, #target.topics > 1
    status = tide.C.tide_mock_drain(self.handle, target.topics[1], PARTITIONS, options.out or "-")
  end
  return status
end

--- options: feed, out (paths, may be nil). Returns nil, the reason and the exit code on failure.
function mock.new(plan, options)
  local handle = tide.C.tide_mock_new(1)
  if handle == nil then return failure() end
  local self = setmetatable({ handle = handle, made = {}, feeding = options.feed ~= nil }, Mock)
  local status = set_up(self, plan, options)
  if status >= 0 then return self end
  local _, reason, code = failure(status)
  self:free()
  return nil, reason, code
end

function Mock:brokers()
  return ffi.string(tide.C.tide_mock_brokers(self.handle))
end

local function finished(totals)
  return totals.produced_from + totals.filtered + totals.dead_lettered
end

--- One turn between two turns of the engine. Returns true once all that was fed is complete, false before; on failure
--- nil, the reason and the exit code.
function Mock:turn(totals)
  local completed = finished(totals)
  local status = tide.C.tide_mock_turn(self.handle, completed)
  if status < 0 then return failure(status) end
  return self.feeding and tide.C.tide_mock_fed_all(self.handle)
    and completed >= tonumber(tide.C.tide_mock_fed(self.handle))
end

--- True when everything that was produced is written to the output. Of several topics only the first is written; then
--- it is true when nothing more comes for a second.
function Mock:drained(totals)
  if not self.draining then return true end
  local count, now = tonumber(tide.C.tide_mock_drained(self.handle)), tonumber(tide.C.tide_clock_us())
  if count ~= self.count then self.count, self.quiet_since = count, now end
  return count >= totals.produced or (self.several and now - self.quiet_since > 1e6)
end

function Mock:free()
  if self.handle then tide.C.tide_mock_free(self.handle) end
  self.handle = nil
end

return mock
