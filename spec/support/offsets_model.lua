-- SPDX-License-Identifier: MIT
-- What chain/offsets.h promises, written down the slow way: every message of an assignment stays in a list, and each
-- answer is found by going through it.
local model = {}
model.__index = model

function model.new(partitions)
  local self = setmetatable({ partitions = {}, totals = { read = 0, produced_from = 0, filtered = 0,
    dead_lettered = 0, dropped = 0, late_reports = 0, in_flight = 0, positions_moved = 0 } }, model)
  for i = 0, partitions - 1 do self.partitions[i] = { state = "away", epoch = 0, list = {} } end
  return self
end

function model:assign(partition)
  local p = self.partitions[partition]
  p.state, p.epoch, p.list, p.through = "owned", p.epoch + 1, {}, 0
end

function model:revoke(partition)
  self.partitions[partition].state = "leaving"
end

function model:forget(partition)
  local p = self.partitions[partition]
  p.state = "away"
  for _, message in ipairs(p.list) do
    if message.holds > 0 then
      self.totals.dropped = self.totals.dropped + 1
      self.totals.in_flight = self.totals.in_flight - 1
    end
  end
end

function model:open(partition, offset)
  local p = self.partitions[partition]
  local message = { partition = partition, epoch = p.epoch, offset = offset, holds = 1, fate = 0, released = false }
  p.list[#p.list + 1] = message
  self.totals.read, self.totals.in_flight = self.totals.read + 1, self.totals.in_flight + 1
  return message
end

function model:unopen(partition)
  table.remove(self.partitions[partition].list)
  self.totals.read, self.totals.in_flight = self.totals.read - 1, self.totals.in_flight - 1
end

-- What is done with a message of an assignment that is over changes nothing.
function model:ours(message)
  local p = self.partitions[message.partition]
  return p.state ~= "away" and p.epoch == message.epoch
end

function model:current(message)
  return self:ours(message) and self.partitions[message.partition].state == "owned"
end

function model:hold(message)
  if self:ours(message) then message.holds = message.holds + 1 end
end

function model:release(message)
  if self:ours(message) then message.released = true end
end

local fates = { [0] = "filtered", "produced_from", "dead_lettered" }

function model:done(message, fate)
  local totals = self.totals
  if not self:ours(message) then
    totals.late_reports = totals.late_reports + 1
    return
  end
  message.holds, message.fate = message.holds - 1, math.max(message.fate, fate)
  if message.holds > 0 then return end
  totals[fates[message.fate]] = totals[fates[message.fate]] + 1
  totals.in_flight = totals.in_flight - 1
  local p = self.partitions[message.partition]
  while p.list[p.through + 1] and p.list[p.through + 1].holds == 0 do
    p.through, totals.positions_moved = p.through + 1, totals.positions_moved + 1
  end
end

--- position, read_to and released of a partition that is owned or leaving.
function model:answers(partition)
  local list = self.partitions[partition].list
  local position, released = -1, 0
  for _, message in ipairs(list) do
    if message.holds > 0 then
      if position < 0 then position = message.offset end
      break
    end
    position = message.offset + 1
  end
  for _, message in ipairs(list) do
    if message.holds > 0 and message.released then released = released + 1 end
  end
  return position, #list > 0 and list[#list].offset + 1 or -1, released
end

return model
