-- SPDX-License-Identifier: MIT
-- run/message.lua: the message a transform sees, and what it makes of it. One message is open at a time; its
-- state lives in upvalues of this file, so that LuaJIT keeps it in registers across the user's function. The
-- object itself is a cdata that holds only a serial number: a kept one is known by its old number.
-- `return (f())` is no tail call: of those LuaJIT allows 15 in a trace.
local ffi = require("ffi")
local bit = require("bit")
local null = require("cjson").null
local C = require("tidemill.run.ffi").C
local check = require("tidemill.run.check")
local copies = require("tidemill.run.copy")
local json = require("tidemill.run.json")
local results = require("tidemill.run.result")
local answer = require("tidemill.run.answer")

local cast, copy, to_string = ffi.cast, ffi.copy, ffi.string
local shown, bytes_or_null = check.shown, check.bytes_or_null
local check_headers, check_integer = check.headers, check.integer
local headers_size, put_headers = results.headers_size, results.put_headers
local band, bnot = bit.band, bit.bnot

local json_open, json_open_copy, json_root, json_edits = json.open, json.open_copy, json.root, json.edits
local json_text, json_write, json_reset = json.text, json.write, json.reset

local result_type = ffi.typeof "struct tide_result *"
local bytes_type = ffi.typeof "const char *"
local RECORD, RESULT = ffi.sizeof "struct tide_record", ffi.sizeof "struct tide_result"
local MESSAGE = C.TIDE_RESULT_MESSAGE
local INHERIT_VALUE, INHERIT_KEY, INHERIT_HEADERS =
  C.TIDE_INHERIT_VALUE, C.TIDE_INHERIT_KEY, C.TIDE_INHERIT_HEADERS
local TOPIC_NONE = C.TIDE_TOPIC_NONE

local topics -- struct tide_topics *
local targets = {} -- topic name -> number, for the topics that the pipeline names

local serial = 0
-- The record that is open; in C's memory, as a pointer in an upvalue would be boxed for each message.
local here = ffi.new "struct { const struct tide_record *record; }"
-- What the transform wrote: a string, or nil for null; `*_set` tells whether it wrote at all.
local value, value_set, key, key_set
local headers, timestamp, topic, partition -- nil = not read (headers) or not written
local none = {} -- stands for a string that has not been read yet
local read_value, read_key = none, none
-- The view of the value: whether it was opened, how many changes of it `value` holds already, and whether the
-- value was written since.
local opened, edits_in_value, stale = false, 0, false
-- Whether there are documents, whether some are those of copies, and whether all outlive the message.
local documents, beside, held = false, false, false

local message = {}

local function record_bytes()
  return cast(bytes_type, here.record) + RECORD
end

local function is_json_last()
  return opened and json_edits() ~= edits_in_value
end

local function set_value(new)
  value, value_set = new, true
  if opened then edits_in_value, stale = json_edits(), true end
end

local function get_value()
  if is_json_last() then
    set_value(json_text())
    stale = false
  end
  if value_set then return value end
  if read_value == none then
    local length = here.record.value_length
    read_value = length >= 0 and to_string(record_bytes(), length) or nil
  end
  return read_value
end

local function get_json()
  if opened and not (stale and json_edits() == edits_in_value) then return (json_root()) end
  local root
  documents = true
  if value_set then
    if value == nil then return nil end
    root = json_open_copy(value)
  else
    if here.record.value_length < 0 then return nil end
    root = json_open(record_bytes(), here.record.value_length)
  end
  opened, edits_in_value, stale = true, 0, false
  return root
end

local function close_views()
  if not documents then return end
  opened = false
  if held then return end
  if beside then
    copies.close()
    beside = false
  end
  json_reset()
  documents = false
end

local function key_bytes()
  local length = here.record.value_length
  return record_bytes() + (length > 0 and length or 0)
end

local function get_key()
  if key_set then return key end
  if read_key == none then
    local length = here.record.key_length
    read_key = length >= 0 and to_string(key_bytes(), length) or nil
  end
  return read_key
end

local function get_headers()
  if headers then return headers end
  headers = {}
  local length = here.record.key_length
  local bytes = key_bytes() + (length > 0 and length or 0)
  local at, header = ffi.new "uint32_t[1]", ffi.new "struct tide_header"
  while C.tide_header_next(bytes, here.record.headers_length, at, header) == 1 do
    headers[#headers + 1] = { to_string(header.name, header.name_length),
      header.value ~= nil and to_string(header.value, header.value_length) or nil }
  end
  return headers
end

local function get_topic()
  if topic then return topic end
  local number = here.record.target_topic ~= TOPIC_NONE and here.record.target_topic or here.record.topic
  local name = C.tide_topics_shared_name(topics, number)
  return name ~= nil and to_string(name) or nil
end

local function check_topic(new)
  if not targets[new] then
    local known = {}
    for name in pairs(targets) do known[#known + 1] = '"' .. name .. '"' end
    table.sort(known)
    error(("topic %s is none that produce names (%s)"):format(
      type(new) == "string" and '"' .. new .. '"' or shown(new), table.concat(known, ", ")), 4)
  end
  return new
end

-- For assignment and for result tables; level 4 in the checks is the line of the user's script.
local function set(name, new)
  if name == "value" then
    set_value(bytes_or_null(name, new))
  elseif name == "json" then
    set_value(new ~= nil and json.encode(new, 3) or nil)
  elseif name == "key" then
    key, key_set = bytes_or_null(name, new), true
  elseif name == "headers" then
    headers = check_headers(new == nil and {} or new)
  elseif name == "timestamp" then
    timestamp = check_integer(name, new, -1, 2 ^ 53)
  elseif name == "topic" then
    topic = check_topic(new)
  elseif name == "partition" then
    partition = check_integer(name, new, 0, 2 ^ 31 - 1)
  else
    error(('a result has no field "%s"; it has value, json, key, headers, timestamp, topic, partition')
      :format(tostring(name)), 3)
  end
end

local function gone()
  error("this message is gone: it lives until the function returns; keep message:copy() instead", 3)
end

local copy_headers = copies.headers
local copy_mark, target_mark = copies.metatable(function() documents, beside = true, true end), {}

-- message:copy(): a table that may be kept. Where an earlier function sent the message goes with it.
local function copy_open(self)
  if self.serial ~= serial then gone() end
  local from, place, offset = get_topic(), here.record.partition, tonumber(here.record.offset)
  local chosen = topic or here.record.target_topic ~= TOPIC_NONE and from or nil
  return setmetatable({
    value = get_value(), key = get_key(), headers = copy_headers(get_headers()), topic = from, partition = place,
    offset = offset, timestamp = timestamp or tonumber(here.record.timestamp),
    [target_mark] = { to_topic = chosen, to_partition = partition, topic = from, partition = place, offset = offset },
  }, copy_mark)
end

local methods = {
  __index = function(self, name)
    if self.serial ~= serial then gone() end
    if name == "copy" then return copy_open end
    if name == "value" then return (get_value()) end
    if name == "json" then return (get_json()) end
    if name == "key" then return (get_key()) end
    if name == "offset" then return (tonumber(here.record.offset)) end
    if name == "partition" then return here.record.partition end
    if name == "timestamp" then return timestamp or tonumber(here.record.timestamp) end
    if name == "topic" then return (get_topic()) end
    if name == "headers" then return (get_headers()) end
    error(('message has no field "%s"; it has value, json, key, headers, topic, partition, offset, timestamp')
      :format(tostring(name)), 2)
  end,
  __newindex = function(self, name, new)
    if self.serial ~= serial then gone() end
    if name == "value" and type(new) == "string" then
      set_value(new)
      return
    end
    if name == "topic" or name == "partition" or name == "offset" then
      error(("message.%s is where the message came from; to send it elsewhere return { %s = ... }")
        :format(name, name), 2)
    end
    set(name, new)
  end,
}
-- A type of its own for each load of this file: busted forgets what a spec file required, loads it again, and
-- gives back the older type (with the older methods) for the same text.
local new_message = ffi.metatype(ffi.typeof(("struct { double serial; } /* %s */"):format(tostring(methods))), methods)

local many_mark = {}

--- For scripts: `return tide.many { ... }`: several results (messages, copies, strings, tables) from one message.
--- A wrong list is told by apply: in a tail call error() would not know the line of the script.
function message.many(list)
  local wrong = check.not_array(list)
  if not wrong then return setmetatable({ list = list }, many_mark) end
  return message.wrong(("returned tide.many of what is no array of results without gaps: it %s %s"):format(
    type(list) == "table" and "has" or "is", wrong))
end

--- As a function's return: rejected as a wrong one, with this text behind the function's place.
function message.wrong(text)
  return setmetatable({ wrong = text }, many_mark)
end

--- For scripts: as copies.last_header, for a message, a copy or a table like one.
function message.header(of, name)
  if type(of) ~= "table" and not ffi.istype(new_message, of) then
    error(("tide.header takes a message, got %s"):format(shown(of)), 2)
  end
  if type(name) ~= "string" then error(("tide.header takes a name, got %s"):format(shown(name)), 2) end
  return (copies.last_header(of, name))
end

--- Topic numbers: `handle` is the engine's table, `names` those that a result may choose.
function message.use_topics(handle, names)
  topics = handle
  for _, name in ipairs(names) do targets[name] = C.tide_topics_number(handle, name) end
end

--- Opens the message of `at` (const struct tide_record *); the one before is gone.
function message.open(at)
  here.record = at
  serial = serial + 1
  value, value_set, key, key_set = nil, false, nil, false
  read_value, read_key = none, none
  close_views()
  headers, timestamp, topic, partition = nil, nil, nil, nil
  return (new_message(serial))
end

--- Views live on, whatever message is opened, until message.release(): for several messages that are one result.
function message.hold()
  held = true
end

--- All views are gone; what was changed in those of copies is in the copies' values.
function message.release()
  held = false
  close_views()
end

local function set_all(fields)
  for name, new in pairs(fields) do set(name, new) end
end

-- A kept copy that is returned: all it has counts; topic, partition and offset tell where it came from.
local function set_copy(copied)
  local mark = copied[target_mark]
  copies.check_origin(copied, mark)
  set("value", copied.value)
  set("key", copied.key)
  headers = copied.headers and copy_headers(copied.headers) or {}
  set("timestamp", copied.timestamp)
  topic, partition = mark.to_topic, mark.to_partition
end

--- A table with the fields of a message as message:copy() gives them.
function message.as_copy(fields)
  fields[target_mark] = { topic = fields.topic, partition = fields.partition, offset = fields.offset }
  return setmetatable(fields, copy_mark)
end

--- What the open message has become: message.restore() begins with it again, as often as wanted.
function message.save()
  get_value() -- changes of the view are in the value then
  return { value = value, value_set = value_set, key = key, key_set = key_set, headers = headers,
    timestamp = timestamp, topic = topic, partition = partition, serial = serial }
end

--- The message as it was saved; the one before is gone.
function message.restore(saved)
  serial = serial + 1
  close_views()
  value, value_set, key, key_set = saved.value, saved.value_set, saved.key, saved.key_set
  headers = saved.headers and copy_headers(saved.headers)
  timestamp, topic, partition = saved.timestamp, saved.topic, saved.partition
  return new_message(serial)
end

--- True when `thing` is the message that was open at `saved`.
function message.was_open(thing, saved)
  return ffi.istype(new_message, thing) and thing.serial == saved.serial
end

--- What tide.reject, tide.retry or tide.many made: a reason, and its text or the list; nil for all else.
function message.verdict_of(thing)
  local mark = type(thing) == "table" and getmetatable(thing)
  if mark == answer.mark then return thing.kind, thing.reason end
  if mark == many_mark then return thing.wrong and "bad_return" or "many", thing.wrong or thing.list end
end

--- Takes over what a function returned (other than the message itself and nil). True = a message is there to
--- hand on; false, reason, error = rejected; false, 'many', list = several (run/many.lua).
function message.apply(result)
  if type(result) == "string" then
    set_value(result)
    return true
  end
  if type(result) ~= "table" then
    return false, "bad_return", ("returned %s; return the message, nil, a string, a table, tide.many, tide.reject or "
      .. "tide.retry"):format(shown(result))
  end
  local reason, told = message.verdict_of(result)
  if reason then return false, reason, told end
  local ok, problem = pcall(getmetatable(result) == copy_mark and set_copy or set_all, result)
  if not ok then return false, "bad_return", (tostring(problem):gsub("^[^\n:]*tidemill/run/[%l_]+%.lua:%d+: ", "")) end
  return true
end

--- Writes the open message as a result for record `index` behind `base + at`. Returns the bytes in use then,
--- or nil and the bytes wanted when they would be more than `room`.
function message.emit(base, at, index, room)
  local inherit, size = 0, RESULT
  if key_set then size = size + (key and #key or 0) else inherit = inherit + INHERIT_KEY end
  local headers_length = 0
  if headers then
    check_headers(headers)
    headers_length = headers_size(headers)
    size = size + headers_length
  else
    inherit = inherit + INHERIT_HEADERS
  end
  local value_length, spliced = value and #value or -1, is_json_last()
  if spliced then
    value_length = json_write(base + at + RESULT, room - at - size)
    if value_length < 0 then return nil, size - value_length end
  elseif not value_set then
    inherit = inherit + INHERIT_VALUE
  end
  size = band(size + (value_length > 0 and value_length or 0) + 7, bnot(7))
  if at + size > room then return nil, size end
  local result = cast(result_type, base + at)
  result.size, result.index, result.kind, result.inherit = size, index, MESSAGE, inherit
  result.headers_length = headers_length
  result.timestamp = timestamp or here.record.timestamp
  result.value_length = value_length
  result.key_length = key and #key or -1
  result.topic = topic and targets[topic] or here.record.target_topic
  result.partition = partition or here.record.target_partition
  local to = base + at + RESULT
  if spliced then
    to = to + value_length
  elseif value then
    copy(to, value, #value)
    to = to + #value
  end
  if key then
    copy(to, key, #key)
    to = to + #key
  end
  if headers then put_headers(headers, to) end
  return at + size
end

--- The record that is open, to go on from after an error.
function message.record()
  return here.record
end

message.emit_reject = results.reject
message.null = null
message.json = json.public
message.array = json.array
return message
