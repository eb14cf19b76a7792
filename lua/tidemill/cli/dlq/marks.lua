-- SPDX-License-Identifier: MIT
-- cli/dlq/marks.lua remembers which dead letters of a source were processed, that is, replayed or dropped. For a topic
-- it keeps them in the committed offsets of the group tidemill-dlq-TOPIC, which never has a member; for a file, in
-- FILE.processed beside it. That is bound to the file by the line of its first dead letter, which holds a time and so
-- is another one in another file of that name. Brokers forget such offsets after offsets.retention.minutes, so each
-- write commits all partitions anew.
local ffi = require("ffi")
local exit_code = require("tidemill.plan.exit_code")
local hash = require("tidemill.lib.hash")
local dead_letter = require("tidemill.cli.dlq.dead_letter")
local ranges = require("tidemill.cli.dlq.ranges")
local sources = require("tidemill.cli.dlq.source")
local child = require("tidemill.tuning.child")
local tide = require("tidemill.run.ffi")

local marks = {}
local Marks = {}
Marks.__index = Marks

-- A client on the marks of a topic: it has threads, so no engine may be forked while it is open.
local function open_topic(source)
  local sides, unfetched, code = sources.fetch(source)
  if not sides then return nil, unfetched, code end
  local properties, group = sides.read, "tidemill-dlq-" .. source.name
  local array = ffi.new("struct tide_property[?]", #properties)
  for i, property in ipairs(properties) do
    array[i - 1].name, array[i - 1].value = property.name, property.value
  end
  local status = ffi.new("int[1]")
  local client = tide.C.tide_kafka_committed_new(array, #properties, group, source.name, source.timeout_us, status)
  if client == nil then return nil, tide.error(), -status[0] end
  return ffi.gc(client, tide.C.tide_kafka_committed_free)
end

local function close_topic(client)
  tide.C.tide_kafka_committed_free(ffi.gc(client, nil))
end

-- What is committed, in the order of the partitions: { offset (a text), metadata } each; or { failed = text, code = }.
local function committed(source)
  local client, reason, status = open_topic(source)
  if not client then return { failed = reason, code = status } end
  local mark, found = ffi.new("struct tide_committed_offset"), {}
  for i = 0, tide.C.tide_kafka_committed_partitions(client) - 1 do
    tide.C.tide_kafka_committed_get(client, i, mark)
    found[i + 1] = { ("%.0f"):format(tonumber(mark.offset)), ffi.string(mark.metadata) }
  end
  close_topic(client)
  return found
end

-- In a process of its own: this one forks the worker of a replay later, and must not have held a secret by then.
local function read_topic(self)
  local found = child.run(function() return committed(self.source) end, true)
  if found.failed then return nil, found.failed, found.code end
  for i, mark in ipairs(found) do
    local offset = tonumber(mark[1])
    self.processed[i - 1] = ranges.decode(offset, mark[2])
    self.empty = self.empty and offset < 0
  end
  return self
end

local function path_of(source)
  return source.name .. ".processed"
end

-- The file had this name before; what it says is not ignored silently, or all dead letters would be replayed again.
local function old_path(source)
  local path = source.name .. ".dealt"
  local file = io.open(path, "rb")
  if file then file:close() end
  return file and path
end

-- What no other file of this name has. Other lines may come before the first dead letter, and they may be the same in
-- each file.
local function first_letter(source)
  local file, found = io.open(source.name, "rb"), ""
  for line in file and file:lines() or function() end do
    local done, read = pcall(dead_letter.of_line, { value = line, partition = 0, offset = 0 })
    if done and read then
      found = line
      break
    end
  end
  if file then file:close() end
  return hash.sha256(found)
end

local function read_file(self)
  local old = old_path(self.source)
  if old then
    return nil, ("%s: what was replayed and dropped is remembered in %s now; rename it, or remove it to begin anew")
      :format(old, path_of(self.source)), exit_code.DATA
  end
  self.first_letter = first_letter(self.source)
  local file = io.open(path_of(self.source), "rb")
  if not file then return self end
  local text = file:read("*a") or ""
  file:close()
  local from, metadata, of = text:match("^(%d+) ([%w+/=.]*)\n?(%x*)\n?$")
  if not from then return nil, path_of(self.source) .. ": is not what tidemill wrote", exit_code.DATA end
  if of ~= self.first_letter then
    self.stranger = path_of(self.source)
  else
    self.processed[0] = ranges.decode(tonumber(from), metadata)
  end
  return self
end

--- Reads what is remembered. `empty`: nothing is remembered of a topic; `stranger`: the path of what is remembered of
--- another file that had the name before. On failure nil, the reason and the exit code.
function marks.read(source)
  local self = setmetatable({ source = source, processed = {}, empty = source.kind == "topic" }, Marks)
  if source.kind == "topic" then return read_topic(self) end
  return read_file(self)
end

--- Whether a dead letter was replayed or dropped.
function Marks:is_processed(partition, offset)
  local processed = self.processed[partition]
  return processed ~= nil and processed(offset)
end

--- What has to be written once the dead letters for which `also` (a function of partition and offset) is true are
--- processed too: { partition = { offset, metadata } }, or nil and the reason when that is more than can be kept.
function Marks:with(seen, also)
  local result = {}
  for partition, offsets in pairs(seen) do
    local from, metadata = ranges.encode(offsets, function(offset)
      return self:is_processed(partition, offset) or also(partition, offset)
    end)
    if #metadata > ranges.MOST and self.source.kind == "topic" then
      return nil, ("partition %d: the dead letters chosen lie too scattered to be remembered (%d bytes, %d are kept); "
        .. "choose fewer, by --limit or --offset, or all of a stretch"):format(partition, #metadata, ranges.MOST)
    end
    result[partition] = { offset = from, metadata = metadata }
  end
  return result
end

local function write_file(self, result)
  local mark = result[0]
  if not mark then return true end
  local path = path_of(self.source)
  local file, reason = io.open(path .. ".new", "wb")
  if not file then return nil, reason end
  local written = file:write(("%.0f %s\n%s\n"):format(mark.offset, mark.metadata, self.first_letter))
  written = file:close() and written
  if not written then return nil, path .. ".new: cannot be written" end
  return os.rename(path .. ".new", path)
end

--- For writing; no engine may be forked until close().
function Marks:open()
  if self.source.kind == "file" then return true end
  local client, reason = open_topic(self.source)
  self.client = client
  return client ~= nil, reason
end

--- Writes what with() gave. True, or nil and the reason.
function Marks:write(result)
  if self.source.kind == "file" then return write_file(self, result) end
  for partition, mark in pairs(result) do
    tide.C.tide_kafka_committed_set(self.client, partition, mark.offset, mark.metadata)
  end
  if tide.C.tide_kafka_committed_commit(self.client) < 0 then return nil, tide.error() end
  return true
end

function Marks:close()
  if self.client then close_topic(self.client) end
  self.client = nil
end

return marks
