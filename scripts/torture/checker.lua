-- SPDX-License-Identifier: MIT
-- Compares what came out with what went in: how the transform behaves on each id tells what must have come out.
--
-- A case has: input, output, second, dead_letters = the records of these topics (spec.support.kafka), in the order of
-- each partition; mode; strict (nothing disturbed the engines, so that no duplicate is allowed in either mode);
-- disturbances = how often an engine or a broker was disturbed; long_stops = how often a worker was stopped for as long
-- as a message may take (nil = never), so that its message may be a dead letter for a timeout; committed, ends =
-- { partition = offset }; counts = the truth of counts.lua, where the transform has state: then results say a count,
-- and are in the order of each key only; windows = that of windows.lua: then results are those of windows, and late
-- messages come as they were.
local behaviour = require "scripts.torture.behaviour"
local windows = require "scripts.torture.windows"

local checker = {}
local methods = {}
local metatable = { __index = methods }

--- What is counted, in the order of a report: ids or records. All but the allowed duplicates must be 0.
checker.FAULTS = { "lost", "duplicated", "misplaced", "wrong_outcome", "wrong_payload", "wrong_count",
  "wrong_order", "misattributed",
  "unknown", "uncommitted" }

-- How many duplicates one disturbance may cause in at-least-once. An engine that loses its partitions in an outage has
-- run all that it had fetched, so that is the backlog of the load.
local MAX_AGAIN = 4000
local NEMESIS_SIGNALS = { SIGKILL = true, SIGSEGV = true } -- the signals that the nemesis sends to workers
local MAX_NAMED = 5 -- how many ids are printed of each fault

local function header(record, name)
  for _, one in ipairs(record.headers) do
    if one[1] == name then return one[2] end
  end
end

local function count(self, what, id, record)
  self.counts[what] = self.counts[what] + 1
  local named = self.named[what]
  if #named < MAX_NAMED then named[#named + 1] = { id = id, record = record } end
end

local function read_input(self, records)
  for _, record in ipairs(records) do
    local id = tonumber(record.value:match("^%d+"))
    self.inputs[id] = { partition = record.partition, offset = record.offset, key = record.key,
      seq = header(record, "seq"), found = {} }
    self.input_count = self.input_count + 1
  end
end

-- Within a partition (with state: of a key) the first occurrences must rise, by offset and then by piece.
local function check_order(self, topic, id, input, piece, record)
  local at = topic .. (self.of_counts and record.key or record.partition)
  local rank = input.offset * 10 + piece
  if rank < (self.last[at] or -1) then count(self, "wrong_order", id, record) end
  self.last[at] = math.max(rank, self.last[at] or -1)
end

local function check_output(self, record, topic)
  local id, piece = record.value:match("^(%d+)/(%d+):")
  id, piece = tonumber(id), tonumber(piece)
  local input = self.inputs[id]
  record.topic = topic
  if not input then return count(self, "unknown", id or -1, record) end
  local found = input.found
  found[#found + 1] = record
  if not behaviour.topic(id, piece) then return count(self, "wrong_outcome", id, record) end
  local right_topic = behaviour.topic(id, piece) == topic
  if not right_topic or record.partition ~= input.partition then count(self, "misplaced", id, record) end
  if record.value ~= behaviour.output(id, piece) or record.key ~= input.key or header(record, "seq") ~= input.seq then
    count(self, "wrong_payload", id, record)
  end
  if self.of_counts and tonumber(header(record, "count")) ~= self.of_counts.of_id[id] then
    count(self, "wrong_count", id, record)
  end
  local times = (input[piece] or 0) + 1
  input[piece] = times
  if times == 1 then check_order(self, topic, id, input, piece, record) end
end

-- A late message of windows.
local function check_late(self, record)
  local id = tonumber(record.value:match("^(%d+):"))
  local input = self.inputs[id]
  record.topic = "second"
  if not input then return count(self, "unknown", id or -1, record) end
  table.insert(input.found, record)
  if not self.of_windows.late[id] then return count(self, "wrong_outcome", id, record) end
  if record.partition ~= input.partition then count(self, "misplaced", id, record) end
  if record.value ~= behaviour.input(id) or record.key ~= input.key or header(record, "seq") ~= input.seq then
    count(self, "wrong_payload", id, record)
  end
  input[1] = (input[1] or 0) + 1
end

-- The result of a window. The first ones of a key must rise. What is wrong is told of its last message.
local function check_window(self, record)
  local window, right = windows.result(self.of_windows, record)
  record.topic = "output"
  if not window then return count(self, "unknown", -1, record) end
  if self.inputs[window.id] then table.insert(self.inputs[window.id].found, record) end
  if not right then count(self, "wrong_count", window.id, record) end
  if record.partition ~= window.partition then count(self, "misplaced", window.id, record) end
  self.closed[window] = (self.closed[window] or 0) + 1
  if self.closed[window] > 1 then return end
  if window.from <= (self.last[window.key] or -1) then count(self, "wrong_order", window.id, record) end
  self.last[window.key] = window.from
end

-- Whether a dead letter for a timeout may be that of a message whose worker was stopped for so long: one for each stop.
local function is_of_long_stop(self, kind, reason)
  if reason ~= "timeout" or kind == "hang" or self.long_stops == 0 then return false end
  self.long_stops = self.long_stops - 1
  return true
end

-- The reasons that a dead letter of this id may have; nil = there may be none.
local function reasons_of(self, id)
  if self.of_windows and self.of_windows.late[id] then return nil end -- it is added to no window
  return behaviour.REASONS[behaviour.of(id)]
end

local function check_dead_letter(self, record)
  local id = tonumber((record.value or ""):match("^(%d+):")) -- that of a timer has no value
  local input = self.inputs[id]
  record.topic = "dead_letters"
  if not input then return count(self, "unknown", id or -1, record) end
  local found, kind, reason = input.found, behaviour.of(id), header(record, "reason")
  found[#found + 1] = record
  input.dead_letters = (input.dead_letters or 0) + 1
  local reasons = reasons_of(self, id)
  -- A message that hangs may have its worker killed by the nemesis, twice; then it counts as one that crashes.
  local killed = reasons and kind == "hang" and reason == "crash" and NEMESIS_SIGNALS[header(record, "cause")]
  if is_of_long_stop(self, kind, reason) then
    input.stopped = true
  elseif not reasons and (reason == "crash" or reason == "timeout") then
    count(self, "misattributed", id, record)
  elseif not (reasons and reasons[reason]) and not killed then
    count(self, "wrong_outcome", id, record)
  end
  local partition, offset = header(record, "original_partition"), header(record, "original_offset")
  if partition ~= tostring(input.partition) or offset ~= tostring(input.offset) then
    count(self, "misplaced", id, record)
  end
  if record.value ~= behaviour.input(id) or record.key ~= input.key or header(record, "seq") ~= input.seq then
    count(self, "wrong_payload", id, record)
  end
end

local function check_times(self, id, input, times)
  if times == 0 and not input.dead_letters then count(self, "lost", id) end
  for _ = 2, times + (input.stopped and 1 or 0) do count(self, "duplicated", id) end -- a result, or that dead letter
end

local function pieces_of(self, id)
  if self.of_windows then return self.of_windows.late[id] and 1 or 0 end
  return behaviour.pieces(id)
end

-- An id with a dead letter that it should not have is counted as that, and not as lost too.
local function check_counts(self)
  for id, input in pairs(self.inputs) do
    for piece = 1, pieces_of(self, id) do check_times(self, id, input, input[piece] or 0) end
    if reasons_of(self, id) then
      if #input.found == 0 then count(self, "lost", id) end
      for _ = 2, input.dead_letters or 0 do count(self, "duplicated", id) end
    end
  end
end

local function check_windows(self)
  for _, window in pairs(self.of_windows.closed) do
    if not self.closed[window] then count(self, "lost", window.id) end
    for _ = 2, self.closed[window] or 0 do count(self, "duplicated", window.id) end
  end
end

local function check_committed(self, case)
  for partition, offset in pairs(case.ends) do
    if case.committed[partition] ~= offset then
      self.counts.uncommitted = self.counts.uncommitted + math.abs(offset - (case.committed[partition] or 0))
    end
  end
end

--- The findings: counts by FAULTS, input_count, named = { fault = { { id =, record = } } }, allowed = how many
--- duplicates may be there.
function checker.run(case)
  local self = setmetatable({ inputs = {}, input_count = 0, counts = {}, named = {}, last = {},
    closed = {}, long_stops = case.long_stops or 0, of_counts = case.counts, of_windows = case.windows }, metatable)
  for _, what in ipairs(checker.FAULTS) do self.counts[what], self.named[what] = 0, {} end
  read_input(self, case.input)
  for _, topic in ipairs { "output", "second" } do
    local check = check_output
    if self.of_windows then check = topic == "output" and check_window or check_late end
    for _, record in ipairs(case[topic]) do check(self, record, topic) end
  end
  for _, record in ipairs(case.dead_letters) do check_dead_letter(self, record) end
  check_counts(self)
  if self.of_windows then check_windows(self) end
  check_committed(self, case)
  local bounded = case.mode == "at_least_once" and not case.strict
  self.allowed = bounded and case.disturbances * MAX_AGAIN or 0
  return self
end

--- The names of the faults that make the run fail.
function methods:failures()
  local list = {}
  for _, what in ipairs(checker.FAULTS) do
    local most = what == "duplicated" and self.allowed or 0
    if self.counts[what] > most then list[#list + 1] = what end
  end
  return list
end

--- The history of an id, as lines: where it was read, what came out of it, and what the journal says of it.
function methods:history(id, entries)
  local input, lines = self.inputs[id], {}
  if not input then return { "  never sent" } end
  lines[1] = ("  behaviour %s, input %d@%d, key %s"):format(behaviour.of(id), input.partition, input.offset, input.key)
  for _, record in ipairs(input.found) do
    lines[#lines + 1] = ("  %s %d@%d at %d by %s"):format(record.topic, record.partition, record.offset,
      record.timestamp, header(record, "run") or header(record, "reason") .. " " .. (header(record, "cause") or ""))
  end
  for _, entry in ipairs(entries) do
    if entry.id == id then lines[#lines + 1] = "  journal: " .. entry.line end
  end
  return lines
end

return checker
