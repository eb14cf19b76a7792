-- SPDX-License-Identifier: MIT
-- cli/try/input.lua: what somebody types or pastes becomes a message. A line is a value; a JSON object as `tidemill
-- record` writes it ({"key":, "headers":, "value":}) is a whole message; JSON that is spread over several lines is put
-- together.
local answer = require("tidemill.run.answer")
local json = require("tidemill.run.json")
local record_line = require("tidemill.lib.record_line")

local input = {}

local RECORD = { topic = true, key = true, key_base64 = true, headers = true, timestamp = true }

-- True for an object of a record's fields; "value" alone would be any message that has a field of this name.
local function is_record(value)
  if type(value) ~= "table" or json.public.type(value) ~= "object" then return false end
  if value.value == nil and value.value_base64 == nil then return false end
  local others = 0
  for name in pairs(value) do
    if RECORD[name] then
      others = others + 1
    elseif name ~= "value" and name ~= "value_base64" then
      return false
    end
  end
  return others > 0
end

-- Returns the message of a record, or nil and what is wrong with it.
local function read_record(text)
  local doc = json.open_beside(text)
  local made = record_line.read { json = json.root_of(doc), topic = "input", offset = 0 }
  json.reset()
  if made.outcome == answer.REJECT then return nil, made.text end
  made.topic = json.public.table(text).topic
  return made
end

--- Whether a line is a whole message, as `tidemill record` writes it.
function input.is_record_line(line)
  local is_json, value = pcall(json.public.table, line)
  return is_json and is_record(value)
end

--- Returns the message of a text: format "lines" = always a value, "json" = always a record, nil = what it looks like.
--- Or nil and what is wrong.
function input.message(text, format)
  if format == "lines" then return { value = text } end
  local is_json, value = pcall(json.public.table, text)
  if format == "json" and not is_json then return nil, "it is not JSON: " .. tostring(value) end
  if format == "json" or is_json and is_record(value) then return read_record(text) end
  return { value = text }
end

--- How many brackets of JSON are open behind a line. `open`: how many were open before it; nil for the first line,
--- which must begin with one.
function input.open_after(line, open)
  if not open and not line:find("^%s*[%[{]") then return 0 end
  local bare = line:gsub("\\.", ""):gsub('"[^"]*"', "")
  local _, opened = bare:gsub("[%[{]", "")
  local _, closed = bare:gsub("[%]}]", "")
  return math.max(0, (open or 0) + opened - closed)
end

return input
