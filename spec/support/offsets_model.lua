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
  p.state, p.epoch, p.list, p.passed = "owned", p.epoch + 1, {}, 0
end

function model:revoke(partition)
  self.partitions[partition].state = "leaving"
end

function model:forget(partition)
  local p = self.partitions[partition]
  p.state = "away"
  for _, message in ipairs(p.list) do
    if message.references > 0 then
      self.totals.dropped = self.totals.dropped + 1
      self.totals.in_flight = self.totals.in_flight - 1
    end
  end
end

function model:open(partition, offset)
  local p = self.partitions[partition]
  local message = { partition = partition, epoch = p.epoch, offset = offset, references = 1, outcome = 0, sent = false }
  p.list[#p.list + 1] = message
  self.totals.read, self.totals.in_flight = self.totals.read + 1, self.totals.in_flight + 1
  return message
end

function model:unopen(partition)
  table.remove(self.partitions[partition].list)
  self.totals.read, self.totals.in_flight = self.totals.read - 1, self.totals.in_flight - 1
end

-- Whether the message's assignment still counts; what is done with a message of an older one changes nothing.
function model:known(message)
  local p = self.partitions[message.partition]
  return p.state ~= "away" and p.epoch == message.epoch
end

function model:current(message)
  return self:known(message) and self.partitions[message.partition].state == "owned"
end

function model:ref(message)
  if self:known(message) then message.references = message.references + 1 end
end

function model:mark_sent(message)
  if self:known(message) then message.sent = true end
end

local names = { [0] = "filtered", "produced_from", "dead_lettered" }

function model:unref(message, outcome)
  local totals = self.totals
  if not self:known(message) then
    totals.late_reports = totals.late_reports + 1
    return
  end
  message.references, message.outcome = message.references - 1, math.max(message.outcome, outcome)
  if message.references > 0 then return end
  totals[names[message.outcome]] = totals[names[message.outcome]] + 1
  totals.in_flight = totals.in_flight - 1
  local p = self.partitions[message.partition]
  while p.list[p.passed + 1] and p.list[p.passed + 1].references == 0 do
    p.passed, totals.positions_moved = p.passed + 1, totals.positions_moved + 1
  end
end

--- position, read_to and awaiting_report of a partition that is owned or leaving.
function model:answers(partition)
  local list = self.partitions[partition].list
  local position, awaiting = -1, 0
  for _, message in ipairs(list) do
    if message.references > 0 then
      if position < 0 then position = message.offset end
      break
    end
    position = message.offset + 1
  end
  for _, message in ipairs(list) do
    if message.references > 0 and message.sent then awaiting = awaiting + 1 end
  end
  return position, #list > 0 and list[#list].offset + 1 or -1, awaiting
end

return model
