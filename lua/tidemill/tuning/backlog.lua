-- SPDX-License-Identifier: MIT
-- tuning/backlog.lua: the messages of a file, as the trials of `tidemill tune` read them again and again from memory.
-- They lie in one piece of memory, and are no objects of Lua: every worker is forked from a process that has them, and
-- its garbage collector would go through them all.
local ffi = require("ffi")
local cjson = require("cjson")
local base64 = require("tidemill.lib.base64")
local header_codec = require("tidemill.run.headers")
local exit_code = require("tidemill.plan.exit_code")
local text_file = require("tidemill.plan.text_file")
local C = require("tidemill.run.ffi").C

local backlog = {}
local Backlog = {}
Backlog.__index = Backlog

local MIB = 2 ^ 20
local MOST_BYTES = 256 * MIB
local MOST_LINE = 64 * MIB -- more than a message may have: a file without line ends would be read until memory ends
local PIECE = 64 * 1024

-- A field of a line of JSON; what is not UTF-8 is in base64, under another name.
local function field_of(object, name)
  local encoded = object[name .. "_base64"]
  if type(encoded) == "string" then return assert(base64.decode(encoded)) end
  local value = object[name]
  return value ~= cjson.null and value or nil
end

local readers = {}

function readers.lines(line)
  return { value = line }
end

-- A line as `tidemill record` and --output-format json write it.
function readers.json(line)
  local object = cjson.decode(line)
  if type(object) ~= "table" or object.value == nil and object.value_base64 == nil then error("no record", 0) end
  local headers = {}
  for i, header in ipairs(type(object.headers) == "table" and object.headers or {}) do
    headers[i] = { field_of(header, "name"), field_of(header, "value") }
  end
  return { value = field_of(object, "value"), key = field_of(object, "key"),
    headers = #headers > 0 and header_codec.pack(header_codec.list(headers, 2)) or nil,
    timestamp = tonumber(field_of(object, "timestamp")) }
end

--- Makes a backlog of an array of { value, key, headers (packed), timestamp }.
function backlog.new(messages)
  local parts, count = {}, #messages
  local self = setmetatable({ count = count, c = ffi.new("struct tide_message[?]", count) }, Backlog)
  for _, message in ipairs(messages) do
    for _, name in ipairs { "value", "key", "headers" } do parts[#parts + 1] = message[name] end
  end
  self.text = table.concat(parts)
  self.bytes = #self.text
  local at = ffi.cast("const char *", self.text)
  for i, message in ipairs(messages) do
    local c = self.c[i - 1]
    c.timestamp = message.timestamp or 0
    for _, name in ipairs { "value", "key", "headers" } do
      if message[name] then
        c[name], c[name .. "_length"] = at, #message[name]
        at = at + #message[name]
      end
    end
  end
  return self
end

-- Returns a function that answers the next line; nil at the end; or false when a line is longer than any message.
local function lines_of(file)
  local text, at = "", 1
  return function()
    local pieces, size = {}, 0
    while true do
      local stop = text:find("\n", at, true)
      pieces[#pieces + 1] = text:sub(at, (stop or 0) - 1)
      size, at = size + #pieces[#pieces], stop and stop + 1 or #text + 1
      if size > MOST_LINE then return false end
      if stop then return table.concat(pieces) end
      text, at = file:read(PIECE), 1
      if not text then
        text = ""
        return size > 0 and table.concat(pieces) or nil
      end
    end
  end
end

--- Reads the first `count` messages of a file ("-" is standard input), as far as there is memory for them. `format`:
--- "lines" or "json". Returns the backlog; or nil, the reason and the exit code.
function backlog.load(path, format, count)
  local file, reason = io.stdin, nil
  if path ~= "-" then file, reason = text_file.open(path) end
  if not file then return nil, "--input: " .. reason, exit_code.NO_INPUT end
  local messages, bytes, number = {}, 0, 0
  for line in lines_of(file) do
    number = number + 1
    if not line then
      return nil, ("%s:%d: the line is longer than any message may be (%d MiB)"):format(path, number, MOST_LINE / MIB),
        exit_code.DATA
    end
    local done, message = pcall(readers[format], line)
    if not done then
      return nil, ("%s:%d: no message as `tidemill record` writes it; for plain lines leave out --input-format json")
        :format(path, number), exit_code.DATA
    end
    messages[number], bytes = message, bytes + #line
    if number == count or bytes >= MOST_BYTES then break end
  end
  if path ~= "-" then file:close() end
  if number == 0 then return nil, ("--input: %s has no messages"):format(path), exit_code.NO_INPUT end
  return backlog.new(messages)
end

--- Puts messages `first` to `last` (from 1) into a memory source of so many partitions.
function Backlog:push(source, partitions, first, last)
  for i = first - 1, last - 1 do C.tide_memory_push(source, i % partitions, self.c[i]) end
end

return backlog
