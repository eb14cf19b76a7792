-- SPDX-License-Identifier: MIT
-- lib/record_line.lua: turns a line that `tidemill record` or --output-format json wrote (engine/io/file.h) into the
-- message that it was. It is the first function of a pipeline that runs with --input-format json, or whose file_source
-- has format = "json". Lines written by hand may have their headers in the forms that a script may write.
local base64 = require("tidemill.lib.base64")
local message = require("tidemill.run.message")
local answer = require("tidemill.run.answer")

local null = message.null
local json_type, each = message.json.type, message.json.each
local record = {}

local NAMES = { topic = true, key = true, key_base64 = true, headers = true, value = true, value_base64 = true,
  timestamp = true }
local HEADER_NAMES = { name = true, name_base64 = true, value = true, value_base64 = true }

-- Raises what is wrong with a line; record.read says which line it is.
local function refuse(text, ...)
  error(text:format(...), 0)
end

-- Returns a text, or null. `what` names it in an error, with the values after it as string.format takes them.
local function text_or_null(plain, what, ...)
  if plain == nil or plain == null then return null end
  if type(plain) ~= "string" then refuse("%s is of type %s, not a string", what:format(...), json_type(plain)) end
  return plain
end

-- Returns the bytes of a field, or null. A field that is not UTF-8 is in base64, under another name. `what` names the
-- field in an error; `i` is the number of the header that has it.
local function field(object, name, what, i)
  local encoded = object[name .. "_base64"]
  if type(encoded) ~= "string" then return text_or_null(object[name], what, name, i) end
  local bytes, problem = base64.decode(encoded)
  if not bytes then refuse("%s: %s", what:format(name .. "_base64", i), problem) end
  return bytes
end

-- Raises for the first name of an object that is not among `known`: what stands there would be lost.
local function check_names(object, known, has, what, ...)
  for name in each(object) do
    if not known[name] then refuse('%s has no field "%s"; it has %s', what:format(...), name, has) end
  end
end

-- Returns header `i` of an array: {"name":, "value":}, or ["name", "value"].
local function header_of(i, header)
  local kind = json_type(header)
  local name, value
  if kind == "object" then
    check_names(header, HEADER_NAMES, "name, value", "header %d", i)
    name, value = field(header, "name", '"%s" of header %d', i), field(header, "value", '"%s" of header %d', i)
  elseif kind == "array" and message.json.len(header) <= 2 then
    name, value = text_or_null(header[1], "the name of header %d", i),
      text_or_null(header[2], "the value of header %d", i)
  end
  if not name or name == null then refuse('header %d is neither {"name":, "value":} nor ["name", "value"]', i) end
  return { name, value }
end

-- Those of {"name": "value"} keep the order of the file.
local function headers_of(object)
  local headers, list = {}, object.headers
  if list == nil or list == null then return headers end
  local kind = json_type(list)
  if kind ~= "array" and kind ~= "object" then
    refuse('"headers" is of type %s, not [{"name":, "value":}] or {"name": "value"}', kind)
  end
  for key, header in each(list) do
    headers[#headers + 1] = kind == "array" and header_of(key, header)
      or { key, text_or_null(header, 'the value of header "%s"', key) }
  end
  return headers
end

local function message_of(object)
  check_names(object, NAMES, "topic, key, headers, value, timestamp", "a record")
  local timestamp = object.timestamp
  return { value = field(object, "value", '"%s"'), key = field(object, "key", '"%s"'), headers = headers_of(object),
    timestamp = timestamp ~= null and timestamp or nil }
end

--- Returns the message of a line. Its topic, partition and offset stay those of the file.
function record.read(line)
  local object = line.json
  local is_object = json_type(object) == "object"
  if not is_object or object.value == nil and object.value_base64 == nil then
    return answer.reject('no record as tidemill record and --output-format json write it: {"topic":, "key":, '
      .. '"headers":, "value":}')
  end
  local done, made = pcall(message_of, object)
  if done then return made end
  return answer.reject(("%s: line %d: %s"):format(line.topic, line.offset + 1, made))
end

return record
