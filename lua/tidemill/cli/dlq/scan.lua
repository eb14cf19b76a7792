-- SPDX-License-Identifier: MIT
-- cli/dlq/scan.lua reads all dead letters of a source once: which there are, and the fields that a command asks for.
local cjson = require("cjson")
local base64 = require("tidemill.lib.base64")
local chain = require("tidemill.cli.dlq.chain")
local dead_letter = require("tidemill.cli.dlq.dead_letter")
local child = require("tidemill.tuning.child")

local scan = {}

local SHORT = { "partition", "offset", "original_topic", "original_partition", "original_offset", "original_timestamp",
  "original_count", "target_topic", "target_partition", "stage", "reason", "error", "cause", "attempts", "truncated",
  "intermediate", "timer", "original_size", "sha256", "replays" }

local function pack(text)
  return text and base64.encode(text) or nil
end

-- A line for each message of the source, read back by unpack_line. `whole`: with value, headers, traceback.
local function packer(source, wanted, whole)
  local read = source.kind == "topic" and dead_letter.of_message or dead_letter.of_line
  return function(message)
    local done, found = pcall(read, message) -- whatever stands there, the others are still wanted
    found = done and found
    local line = { partition = message.partition, offset = tonumber(message.offset), broken = not found }
    if found and wanted(found) then
      line.wanted = true
      for _, name in ipairs(SHORT) do line[name] = found[name] end
      line.key, line.size = pack(found.key), found.value and #found.value
      if whole then
        line.value, line.traceback, line.headers = pack(found.value), found.traceback, {}
        for i, header in ipairs(found.headers) do line.headers[i] = { pack(header[1]), pack(header[2]) } end
      end
    end
    return cjson.encode(line)
  end
end

local function unpack_line(text)
  local line = cjson.decode(text)
  line.key, line.value = line.key and base64.decode(line.key), line.value and base64.decode(line.value)
  for i, header in ipairs(line.headers or {}) do
    line.headers[i] = { base64.decode(header[1]), header[2] and base64.decode(header[2]) }
  end
  return line
end

local function by_place(a, b)
  if a.partition ~= b.partition then return a.partition < b.partition end
  return a.offset < b.offset
end

local function gather(path)
  local result = { seen = {}, found = {}, broken = 0, count = 0 }
  for text in io.lines(path) do
    local line = unpack_line(text)
    local offsets = result.seen[line.partition] or {}
    result.seen[line.partition] = offsets
    offsets[#offsets + 1] = line.offset
    result.count = result.count + 1
    if line.broken then result.broken = result.broken + 1 end
    if line.wanted then result.found[#result.found + 1] = line end
  end
  for _, offsets in pairs(result.seen) do table.sort(offsets) end
  table.sort(result.found, by_place)
  return result
end

--- `wanted`: a function of a dead letter. { found = those that are wanted, by their place (see dead_letter.lua; `size`
--- of the value; value, headers and traceback only when `whole`), seen = { partition = offsets of all, rising },
--- broken = how many are no dead letters, count }. nil, the reason and the exit code when it cannot be read. A process
--- of its own connects, so that this one can fork the worker of a replay without ever having held a secret.
function scan.read(source, wanted, whole)
  local path = os.tmpname()
  local answer = child.run(function()
    local engine, reason, code = chain.new(source, packer(source, wanted, whole), chain.lines(path))
    if engine then
      reason, code = chain.run(engine, source, chain.stopped)
      engine:free()
    end
    return { failed = reason, code = code }
  end, true)
  local result = not answer.failed and gather(path) or nil
  os.remove(path)
  if not result then return nil, answer.failed, answer.code end
  return result
end

return scan
