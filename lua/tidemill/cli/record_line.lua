-- SPDX-License-Identifier: MIT
-- cli/record_line.lua: turns a line that `tidemill record` or --output-format json wrote (engine/io/file.h) into the
-- message that it was. It is the first function of a pipeline that runs with --input-format json.
local base64 = require("tidemill.lib.base64")
local message = require("tidemill.run.message")
local answer = require("tidemill.run.answer")

local null = message.null
local record = {}

local NAMES = { topic = true, key = true, key_base64 = true, headers = true, value = true, value_base64 = true,
  timestamp = true }

-- Returns the bytes of a field, or null. A field that is not UTF-8 is in base64, under another name.
local function field(object, name)
  local encoded, plain = object[name .. "_base64"], object[name]
  if type(encoded) == "string" then return assert(base64.decode(encoded)) end
  if plain == nil or plain == null then return null end
  if type(plain) ~= "string" then error(('"%s" is a %s, not a string'):format(name, message.json.type(plain)), 0) end
  return plain
end

local function headers_of(object)
  local headers, list = {}, object.headers
  if list == nil or list == null then return headers end
  for i, header in message.json.each(list) do headers[i] = { field(header, "name"), field(header, "value") } end
  return headers
end

-- Returns the first name of the line's object that no record has; nil when there is none.
local function unknown_name(object)
  for name in message.json.each(object) do
    if not NAMES[name] then return name end
  end
end

--- Returns the message of a line. Its topic, partition and offset stay those of the file.
function record.read(line)
  local object = line.json
  local is_object = message.json.type(object) == "object"
  if not is_object or object.value == nil and object.value_base64 == nil then
    return answer.reject('no record as tidemill record and --output-format json write it: {"topic":, "key":, '
      .. '"headers":, "value":}')
  end
  local unknown = unknown_name(object)
  if unknown then
    return answer.reject(('%s: line %d: a record has no field "%s"; it has topic, key, headers, value, timestamp')
      :format(line.topic, line.offset + 1, unknown))
  end
  local timestamp = object.timestamp
  return { value = field(object, "value"), key = field(object, "key"), headers = headers_of(object),
    timestamp = timestamp ~= null and timestamp or nil }
end

return record
