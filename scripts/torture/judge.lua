-- SPDX-License-Identifier: MIT
-- Compares what came out with what went in, by the fates of the ids.
--
-- A case: input, output, second, letters = records of these topics (spec.support.kafka), in the order of each
-- partition; mode; strict (nothing disturbed the engines: no duplicate in either mode); disturbances = how often an
-- engine or a broker was; committed, ends = { partition = offset }.
local fate = require "scripts.torture.fate"

local judge = {}
local methods = {}
local metatable = { __index = methods }

--- In the order of a report; each is a count of ids or records, and all but allowed duplicates must be 0.
judge.FAULTS = { "lost", "duplicated", "misplaced", "wrong_fate", "wrong_payload", "wrong_order", "misblamed",
  "unknown", "uncommitted" }

-- At-least-once: what may come again after one disturbance. An engine that loses its partitions in an outage has run
-- all that it had fetched, so that is the backlog of the load.
local MOST_AGAIN = 4000
local STRUCK_BY = { SIGKILL = true, SIGSEGV = true } -- what the nemesis sends to workers
local MOST_NAMED = 5 -- ids that are told of each fault

local function header(record, name)
  for _, one in ipairs(record.headers) do
    if one[1] == name then return one[2] end
  end
end

local function count(self, what, id, record)
  self.counts[what] = self.counts[what] + 1
  local named = self.named[what]
  if #named < MOST_NAMED then named[#named + 1] = { id = id, record = record } end
end

local function read_input(self, records)
  for _, record in ipairs(records) do
    local id = tonumber(record.value:match("^%d+"))
    self.inputs[id] = { partition = record.partition, offset = record.offset, key = record.key,
      seq = header(record, "seq"), found = {} }
    self.input_count = self.input_count + 1
  end
end

-- The first occurrences rise within a partition: by offset, then by piece.
local function check_order(self, topic, id, input, piece, record)
  local at = topic .. record.partition
  local place = input.offset * 10 + piece
  if place < (self.last[at] or -1) then count(self, "wrong_order", id, record) end
  self.last[at] = math.max(place, self.last[at] or -1)
end

local function check_output(self, topic, record)
  local id, piece = record.value:match("^(%d+)/(%d+):")
  id, piece = tonumber(id), tonumber(piece)
  local input = self.inputs[id]
  record.topic = topic
  if not input then return count(self, "unknown", id or -1, record) end
  local found = input.found
  found[#found + 1] = record
  if not fate.topic(id, piece) then return count(self, "wrong_fate", id, record) end
  if fate.topic(id, piece) ~= topic or record.partition ~= input.partition then count(self, "misplaced", id, record) end
  if record.value ~= fate.output(id, piece) or record.key ~= input.key or header(record, "seq") ~= input.seq then
    count(self, "wrong_payload", id, record)
  end
  local times = (input[piece] or 0) + 1
  input[piece] = times
  if times == 1 then check_order(self, topic, id, input, piece, record) end
end

local function check_letter(self, record)
  local id = tonumber(record.value:match("^(%d+):"))
  local input = self.inputs[id]
  record.topic = "letters"
  if not input then return count(self, "unknown", id or -1, record) end
  local found, kind, reason = input.found, fate.of(id), header(record, "reason")
  found[#found + 1] = record
  input.letters = (input.letters or 0) + 1
  local reasons = fate.REASONS[kind]
  -- A hanging message whose worker is killed from outside, and once more in its second run, has died of that.
  local killed = kind == "hang" and reason == "crash" and STRUCK_BY[header(record, "cause")]
  if not reasons and (reason == "crash" or reason == "timeout") then
    count(self, "misblamed", id, record)
  elseif not (reasons and reasons[reason]) and not killed then
    count(self, "wrong_fate", id, record)
  end
  local place = { header(record, "original_partition"), header(record, "original_offset") }
  if place[1] ~= tostring(input.partition) or place[2] ~= tostring(input.offset) then
    count(self, "misplaced", id, record)
  end
  if record.value ~= fate.input(id) or record.key ~= input.key or header(record, "seq") ~= input.seq then
    count(self, "wrong_payload", id, record)
  end
end

local function check_times(self, id, input, times)
  if times == 0 and not input.letters then count(self, "lost", id) end
  for _ = 2, times do count(self, "duplicated", id) end
end

-- An id whose dead letter it should not have is told as that, not as lost too.
local function check_counts(self)
  for id, input in pairs(self.inputs) do
    for piece = 1, fate.pieces(id) do check_times(self, id, input, input[piece] or 0) end
    if fate.REASONS[fate.of(id)] then
      if #input.found == 0 then count(self, "lost", id) end
      for _ = 2, input.letters or 0 do count(self, "duplicated", id) end
    end
  end
end

local function check_committed(self, case)
  for partition, offset in pairs(case.ends) do
    if case.committed[partition] ~= offset then
      self.counts.uncommitted = self.counts.uncommitted + math.abs(offset - (case.committed[partition] or 0))
    end
  end
end

--- The findings: counts by FAULTS, inputs (count), named = { fault = { { id =, record = } } }, allowed = most
--- duplicates.
function judge.run(case)
  local self = setmetatable({ inputs = {}, input_count = 0, counts = {}, named = {}, last = {} }, metatable)
  for _, what in ipairs(judge.FAULTS) do self.counts[what], self.named[what] = 0, {} end
  read_input(self, case.input)
  for _, topic in ipairs { "output", "second" } do
    for _, record in ipairs(case[topic]) do check_output(self, topic, record) end
  end
  for _, record in ipairs(case.letters) do check_letter(self, record) end
  check_counts(self)
  check_committed(self, case)
  local bounded = case.mode == "at_least_once" and not case.strict
  self.allowed = bounded and case.disturbances * MOST_AGAIN or 0
  return self
end

--- Names of the faults that fail the run.
function methods:failures()
  local list = {}
  for _, what in ipairs(judge.FAULTS) do
    local most = what == "duplicated" and self.allowed or 0
    if self.counts[what] > most then list[#list + 1] = what end
  end
  return list
end

--- What is known of an id, as lines: where it came in, what came of it, and what the journal says of it.
function methods:history(id, entries)
  local input, lines = self.inputs[id], {}
  if not input then return { "  never sent" } end
  lines[1] = ("  fate %s, input %d@%d, key %s"):format(fate.of(id), input.partition, input.offset, input.key)
  for _, record in ipairs(input.found) do
    lines[#lines + 1] = ("  %s %d@%d at %d by %s"):format(record.topic, record.partition, record.offset,
      record.timestamp, header(record, "run") or header(record, "reason") .. " " .. (header(record, "cause") or ""))
  end
  for _, entry in ipairs(entries) do
    if entry.id == id then lines[#lines + 1] = "  journal: " .. entry.line end
  end
  return lines
end

return judge
