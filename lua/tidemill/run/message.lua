-- SPDX-License-Identifier: MIT
-- run/message.lua: the message that a transform sees, and what the transform makes of it. One message is open at a
-- time, and its state lives in upvalues of this file and not in a table, so that LuaJIT keeps it in registers across
-- the user's function. The object that the script has is a cdata with only a serial number: one that was kept is known
-- by its old number (run/objects.lua). Start reading at message.open, then `methods`, message.apply and message.emit.
-- `return (f())` is no tail call; LuaJIT allows only 15 of those in a trace.
local ffi = require("ffi")
local C = require("tidemill.run.ffi").C
local answer = require("tidemill.run.answer")
local check = require("tidemill.run.check")
local copies = require("tidemill.run.copy")
local header_codec = require("tidemill.run.headers")
local json = require("tidemill.run.json")
local marks = require("tidemill.run.marks")
local objects = require("tidemill.run.objects")
local result = require("tidemill.run.result")
local targets = require("tidemill.run.targets")

local cast, copy, to_string = ffi.cast, ffi.copy, ffi.string
local shown, bytes_or_null, check_integer = check.shown, check.bytes_or_null, check.integer
local header_list, header_last, headers_size, headers_write =
  header_codec.list, header_codec.last, header_codec.size, header_codec.write
local band, bnot = require("bit").band, require("bit").bnot
local json_open, json_open_copy, json_root, json_edits = json.open, json.open_copy, json.root, json.edits
local json_text, json_write, json_reset = json.text, json.write, json.reset
local place, no_room, add, serial_of = result.place, result.no_room, result.add, objects.serial_of
local EMIT, DROP, REJECT = answer.EMIT, answer.DROP, answer.REJECT

local result_type, bytes_type = ffi.typeof("struct tide_result *"), ffi.typeof("const char *")
local RECORD, RESULT = ffi.sizeof("struct tide_record"), ffi.sizeof("struct tide_result")
local INHERIT_VALUE, INHERIT_KEY, INHERIT_HEADERS, TIMER =
  C.TIDE_INHERIT_VALUE, C.TIDE_INHERIT_KEY, C.TIDE_INHERIT_HEADERS, C.TIDE_MESSAGE_TIMER
local MESSAGE, TOPIC_NONE, PARTITION_ANY = C.TIDE_RESULT_MESSAGE, C.TIDE_TOPIC_NONE, C.TIDE_PARTITION_ANY

local target_numbers, check_topic = targets.numbers, targets.check

local serial = 0
-- The record that is open; in C's memory, as a pointer in an upvalue would be boxed for each message.
local here = ffi.new "struct { const struct tide_record *record; }"
-- What the transform wrote: a string, or nil for null; `*_set` tells whether it wrote at all.
local value, value_set, key, key_set
local headers, timestamp, topic, partition -- nil = not read or not written; false = an earlier step's choice is void
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

local function view_is_newer()
  return opened and json_edits() ~= edits_in_value
end

local function set_value(new)
  value, value_set = new, true
  if opened then edits_in_value, stale = json_edits(), true end
end

local function get_value()
  if view_is_newer() then
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

-- Returns the list of headers: the one that was written, or that of the record.
local function get_headers()
  if headers then
    if headers[1] == nil then headers = header_list(headers, 3) end -- { name = value } as a list
    return headers
  end
  local length = here.record.key_length
  headers = header_codec.read(key_bytes() + (length > 0 and length or 0), here.record.headers_length) or {}
  return headers
end

local function get_topic()
  if topic then return topic end
  local chosen = topic == nil and here.record.target_topic ~= TOPIC_NONE
  return (targets.name_of(chosen and here.record.target_topic or here.record.topic))
end

-- Returns where the message goes if a function chose it, else where it came from.
local function get_partition()
  if partition then return partition end
  local chosen = here.record.target_partition
  return partition == nil and chosen ~= PARTITION_ANY and chosen or here.record.partition
end

-- Returns the topic and the partition that a function chose; nil for none.
local function get_choice()
  return (topic or topic == nil and here.record.target_topic ~= TOPIC_NONE) and get_topic() or nil,
    (partition or partition == nil and here.record.target_partition ~= PARTITION_ANY) and get_partition() or nil
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
    headers = header_list(new == nil and {} or new, 3)
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

local copy_headers, HEADERS = header_codec.copy, copies.HEADERS
local copy_mark, target_mark = copies.metatable(function() documents, beside = true, true end), {}

-- message:copy(): a table that may be kept. Where an earlier function sent the message goes with it.
local function copy_open(self)
  if self.serial ~= serial then gone() end
  local from, number, offset = get_topic(), get_partition(), tonumber(here.record.offset)
  local to_topic, to_partition = get_choice()
  return setmetatable({
    value = get_value(), key = get_key(), [HEADERS] = copy_headers(get_headers()), topic = from, partition = number,
    offset = offset, timestamp = timestamp or tonumber(here.record.timestamp),
    [target_mark] = { topic = from, partition = number, offset = offset, to_topic = to_topic,
      to_partition = to_partition },
  }, copy_mark)
end

-- message:header "name"
local function header_open(self, name)
  if self.serial ~= serial then gone() end
  if type(name) ~= "string" then error(("message:header takes a name, got %s"):format(shown(name)), 2) end
  return (header_last(get_headers(), name))
end

local methods = {
  written_as = marks.STAND_IN,
  __index = function(self, name)
    if name == "serial" then return (serial_of(self)) end -- of a table
    if self.serial ~= serial then gone() end
    if name == "copy" then return copy_open end
    if name == "header" then return header_open end
    if name == "value" then return (get_value()) end
    if name == "json" then return (get_json()) end
    if name == "key" then return (get_key()) end
    if name == "offset" then return (tonumber(here.record.offset)) end
    if name == "partition" then return (get_partition()) end
    if name == "timestamp" then return timestamp or tonumber(here.record.timestamp) end
    if name == "topic" then return (get_topic()) end
    if name == "headers" then return (get_headers()) end
    if name == "timer" then return band(here.record.message_flags, TIMER) ~= 0 and self.timestamp or nil end
    error(('message has no field "%s"; it has value, json, key, headers, topic, partition, offset, timestamp, timer')
      :format(tostring(name)), 2)
  end,
  __newindex = function(self, name, new)
    if self.serial ~= serial then gone() end
    if name == "value" and type(new) == "string" then
      set_value(new)
      return
    end
    if name == "offset" then error("message.offset is where the message came from and cannot be written", 2) end
    set(name, new)
  end,
}
check.add_no_table(methods)
local new_message, is_message = objects.type(methods)
message.is = is_message -- true for one that is gone, false for a copy

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

--- Opens a message that inherits only the timestamp: for a result that stands for several messages.
function message.open_empty(at)
  message.open(at)
  value_set, key_set, headers, topic, partition = true, true, {}, false, false
end

--- Tells one message from another, for what is to be the same within it; 0 while several make one result.
function message.moment() return held and 0 or serial end

--- A document was opened beside that of the message: it is closed with the message's.
function message.keeps_document() documents = true end

--- Keeps views open, whatever message is opened, until message.release(), since several messages make one result.
--- Returns whether they were kept already.
function message.hold()
  local was_held = held
  held = true
  return was_held
end

--- All views are gone; what was changed in those of copies is in the copies' values.
function message.release()
  held = false
  close_views()
end

local function set_all(fields) for name, new in pairs(fields) do set(name, new) end end

-- A copy that is returned: all it has counts. Its topic and partition are where the message came from unless the script
-- wrote other ones: then they say where it goes.
local function set_copy(copied)
  local mark = copied[target_mark]
  if copied.offset ~= mark.offset then
    error("offset of a copy is where the message came from and cannot be written", 0)
  end
  set("value", copied.value)
  set("key", copied.key)
  headers = copy_headers(copied.headers)
  set("timestamp", copied.timestamp)
  topic, partition = mark.to_topic or false, mark.to_partition or false
  if copied.topic ~= mark.topic then topic = check_topic(copied.topic) end
  if copied.partition ~= mark.partition then set("partition", copied.partition) end
end

--- A table with the fields of a message as message:copy() gives them, and with what message.choice_of() gave.
function message.as_copy(fields, to_topic, to_partition)
  fields[target_mark] = { topic = fields.topic, partition = fields.partition, offset = fields.offset,
    to_topic = target_numbers[to_topic or ""] and to_topic, to_partition = to_partition }
  fields[HEADERS], fields.headers = fields.headers, nil
  return setmetatable(fields, copy_mark)
end

--- Returns the topic and the partition that functions chose for the open message or a copy; nil for none.
function message.choice_of(thing)
  if is_message(thing) then return get_choice() end
  local mark = thing[target_mark]
  if not mark then return nil, nil end
  return thing.topic ~= mark.topic and thing.topic or mark.to_topic,
    thing.partition ~= mark.partition and thing.partition or mark.to_partition
end

--- Returns "topic" or "partition" when that was written since the message was opened; else nil or false.
function message.written_choice()
  return topic and "topic" or partition and "partition"
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
function message.was_open(thing, saved) return is_message(thing) and thing.serial == saved.serial end

--- Takes over what a function returned, if it is not the message itself: outcome, detail, text (run/answer.lua).
function message.apply(returned)
  if type(returned) == "string" then
    set_value(returned)
    return EMIT
  end
  if returned == nil then return DROP end
  if type(returned) ~= "table" or marks.of(returned) == marks.STAND_IN then
    return REJECT, "bad_return", ("returned %s; return the message, a string, a table, tide.drop (or nil), tide.many, "
      .. "tide.reject or tide.retry"):format(shown(returned))
  end
  local outcome, detail, text = answer.of(returned)
  if outcome then return outcome, detail, text end
  local ok, problem = pcall(getmetatable(returned) == copy_mark and set_copy or set_all, returned)
  if not ok then
    return REJECT, "bad_return", (tostring(problem):gsub("^[^\n:]*tidemill/run/[%l_]+%.lua:%d+: ", ""))
  end
  return EMIT
end

--- Writes the open message as a result for record `index`: EMIT, or what result.no_room says.
function message.emit(index)
  local inherit, size = 0, RESULT
  if key_set then size = size + (key and #key or 0) else inherit = inherit + INHERIT_KEY end
  local headers_length = 0
  if headers then
    headers = header_list(headers, 1)
    headers_length = headers_size(headers)
    size = size + headers_length
  else
    inherit = inherit + INHERIT_HEADERS
  end
  local to, room = place()
  local value_length, spliced = value and #value or -1, view_is_newer()
  if spliced then
    value_length = json_write(to + RESULT, room - size)
    if value_length < 0 then return no_room(size - value_length) end
  elseif not value_set then
    inherit = inherit + INHERIT_VALUE
  end
  size = band(size + (value_length > 0 and value_length or 0) + 7, bnot(7))
  if size > room then return no_room(size) end
  local written = cast(result_type, to)
  written.size, written.index, written.kind, written.inherit = size, index, MESSAGE, inherit
  written.headers_length = headers_length
  written.timestamp = timestamp or here.record.timestamp
  written.value_length = value_length
  written.key_length = key and #key or -1
  written.topic = topic and target_numbers[topic] or topic == nil and here.record.target_topic or TOPIC_NONE
  written.partition = partition or partition == nil and here.record.target_partition or PARTITION_ANY
  to = to + RESULT
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
  if headers then headers_write(headers, to) end
  add(size)
  return EMIT
end

--- The record that is open, to go on from after an error.
function message.record() return here.record end

message.null, message.json, message.array = json.null, json.public, json.array
return message
