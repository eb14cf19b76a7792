-- SPDX-License-Identifier: MIT
-- The load writes numbered messages, so that there is always a backlog, and watches what is committed. The tool that
-- does so runs as a process of its own, since a broker that is down answers late.
local kafka = require "spec.support.kafka"
local wait = require "spec.support.wait"
local behaviour = require "scripts.torture.behaviour"

local load = {}
local methods = {}
local metatable = { __index = methods }

local CHUNK, BACKLOG = 1000, 3000 -- the latter where the part says nothing
local WATCH_SECONDS = 0.5

--- settings: dir, input, group, partitions, backlog.
function load.new(settings)
  return setmetatable({ settings = settings, next_id = 1, seq = {}, fed = 0, committed = 0, progress_at = wait.now(),
    watch_at = 0 }, metatable)
end

local function write_chunk(self, path)
  local file = assert(io.open(path, "wb"))
  for id = self.next_id, self.next_id + CHUNK - 1 do
    local partition = behaviour.partition(id, self.settings.partitions)
    local seq = self.seq[partition] or 0
    self.seq[partition] = seq + 1
    file:write(kafka.encode { key = behaviour.key(id), value = behaviour.input(id), partition = partition,
      headers = { { "seq", tostring(seq) }, { "time", ("%.0f"):format(behaviour.time(id)) } } })
  end
  file:close()
  self.next_id = self.next_id + CHUNK
end

local function feed(self)
  if self.feeder then
    if self.feeder:running() then return end
    -- If it failed, it is not known what arrived: the checker reads the input. The ids are not used again.
    self.feeder:stop()
    self.feeder = nil
    self.fed = self.fed + CHUNK
  end
  if not self.feeding or self.fed - self.committed >= (self.settings.backlog or BACKLOG) then return end
  local path = self.settings.dir .. "/chunk"
  write_chunk(self, path)
  self.feeder = kafka.start({ "produce", self.settings.input }, path)
end

local function watch(self)
  if self.watcher then
    if self.watcher:running() then return end
    local sum = 0
    self.offsets = self.watcher:code() == 0 and kafka.read_offsets(self.watcher:stdout()) or {}
    for _, offset in pairs(self.offsets) do sum = sum + offset end
    if sum > self.committed then self.committed, self.progress_at = sum, wait.now() end
    self.watcher:stop()
    self.watcher = nil
    self.watch_at = wait.now() + WATCH_SECONDS
  elseif wait.now() >= self.watch_at then
    self.watcher = kafka.start { "committed", self.settings.group, self.settings.input }
  end
end

--- Starts what is due; call it often. `feeding`: more messages are to be written.
function methods:turn(feeding)
  self.feeding = feeding
  feed(self)
  watch(self)
end

--- True when all that was written has arrived.
function methods:quiet()
  return not self.feeder
end

--- The partitions whose committed offset is not at its end, as text; nil = none. ends = { partition = offset }.
function methods:lag(ends)
  local list = {}
  for partition, offset in pairs(ends) do
    local at = (self.offsets or {})[partition] or 0
    if at ~= offset then list[#list + 1] = ("partition %d at %d of %d"):format(partition, at, offset) end
  end
  table.sort(list)
  return #list > 0 and table.concat(list, ", ") or nil
end

return load
