-- SPDX-License-Identifier: MIT
-- cli/sample_text.lua: a sample of a tap (engine/chain/tap.h) as text for people, with what a step changed marked: + is
-- new, - is gone, ~ is changed. `tidemill tap` and `tidemill try` show it.
local json_changes = require("tidemill.cli.json_changes")
local null = require("cjson").null
local text = require("tidemill.cli.top.text")

local sample_text = {}

local COLOUR = { ["+"] = "32", ["-"] = "31", ["~"] = "33", forwarded = "32", filtered = "36", accumulated = "36",
  rejected = "31", retry = "33", waits = "33", dropped = "35" }

local WIDTH = 2000 -- columns of a line where there is no terminal

-- `style`: { colour = boolean, width = columns of a line, or nil }
local function coloured(style, name, shown)
  return style.colour and COLOUR[name] and ("\27[%sm%s\27[0m"):format(COLOUR[name], shown) or shown
end

local function cut(style, line)
  return text.cut(text.clean(line), style.width or WIDTH)
end

-- Returns a field of a message as text: null, a string, bytes in base64; and with how many bytes it was cut.
local function shown_field(object, name)
  local bytes, encoded = object[name], object[name .. "_base64"]
  local whole = object[name .. "_bytes"]
  local more = whole and (" (the beginning of %d bytes)"):format(whole) or ""
  if encoded then return ("base64 %s%s"):format(encoded, more) end
  if bytes == nil or bytes == null then return "null" end
  return bytes .. more
end

local function header_lines(style, indent, object, lines)
  for _, header in ipairs(object.headers or {}) do
    lines[#lines + 1] = cut(style, ("%sheader  %s: %s"):format(indent, shown_field(header, "name"),
      shown_field(header, "value")))
  end
  if object.headers and #object.headers == 0 then lines[#lines + 1] = indent .. "header  none" end
  if object.headers_left_out then
    lines[#lines + 1] = ("%sheader  and %d more"):format(indent, object.headers_left_out)
  end
end

local function has(object, name)
  return object[name] ~= nil or object[name .. "_base64"] ~= nil
end

-- The fields of a message that are there. Headers that are none are left out of a message before.
local function field_lines(style, indent, object, lines, whole)
  if has(object, "key") and not (whole and object.key == null) then
    lines[#lines + 1] = cut(style, indent .. "key     " .. shown_field(object, "key"))
  end
  if not whole or #(object.headers or {}) > 0 then header_lines(style, indent, object, lines) end
  if has(object, "value") then
    lines[#lines + 1] = cut(style, indent .. "value   " .. shown_field(object, "value"))
  end
  for _, name in ipairs { "to_topic", "to_partition", "timestamp" } do
    if object[name] ~= nil then
      lines[#lines + 1] = cut(style, ("%s%s  %s"):format(indent, (name:gsub("_", " ")),
        object[name] == null and "null" or tostring(object[name])))
    end
  end
end

-- The members of a JSON value that differ.
local function change_lines(style, indent, before, after, lines)
  if after.value_bytes or before.value_bytes then return end -- it is not whole, so it is no JSON
  local changes, more = json_changes.of(before.value, after.value)
  for _, change in ipairs(changes or {}) do
    local mark = change.before == nil and "+" or change.after == nil and "-" or "~"
    local path = change.path:gsub("^%.", "")
    local line = mark == "~" and ("~ %s: %s -> %s"):format(path, change.before, change.after)
      or ("%s %s: %s"):format(mark, path, change.after or change.before)
    lines[#lines + 1] = indent .. coloured(style, mark, cut(style, line))
  end
  if more and more > 0 then lines[#lines + 1] = ("%s... and %d more changes"):format(indent, more) end
end

local function result_lines(style, sample, lines)
  for i, after in ipairs(sample.after) do
    local title = sample.results > 1 and ("  result %d of %d"):format(i, sample.results) or "  result"
    if #after.changed == 0 then
      lines[#lines + 1] = title .. ": the message as it was"
    else
      lines[#lines + 1] = title .. ": other " .. table.concat(after.changed, ", "):gsub("_", " ")
      field_lines(style, "    ", after, lines)
      change_lines(style, "      ", sample.before, after, lines)
    end
  end
  local hidden = sample.results - #sample.after
  if hidden > 0 then lines[#lines + 1] = ("  ... and %d more results"):format(hidden) end
end

local function error_lines(style, sample, lines)
  if sample.error then
    for line in sample.error:gmatch("[^\n]+") do lines[#lines + 1] = "  " .. cut(style, line) end
  end
  if sample.cause then lines[#lines + 1] = cut(style, "  cause: " .. sample.cause) end
  if sample.traceback then
    for line in sample.traceback:gmatch("[^\n]+") do lines[#lines + 1] = cut(style, "    " .. line:gsub("\t", "  ")) end
  end
end

local EXPLAINED = {
  filtered = "filtered: no result", accumulated = "accumulated: its result stands for several messages",
  retry = "to be tried again", waits = "waits after one of its partition that is tried again",
  dropped = "dropped: its partition was revoked",
}

local function fate_of(sample)
  if sample.fate == "rejected" then return "rejected: " .. (sample.reason or "") end
  return EXPLAINED[sample.fate] or sample.fate
end

-- Where the message came from and which step it is.
local function place_of(sample, brief)
  local step = sample.step ~= null and ("step %d (%s)"):format(sample.step, sample.stage) or "output"
  if brief == "all" then return "" end
  if brief then return step .. "  " end
  return ("%s/%d/%.0f  %s  "):format(sample.topic == null and "?" or sample.topic, sample.partition, sample.offset,
    step)
end

--- Returns the lines of a sample. style: colour (boolean), width (columns; nil = no terminal), brief: what the reader
--- knows: "place" = where the message is from; "before" = the message too; "all" = that there is but one step, too.
function sample_text.lines(sample, style)
  local lines = { cut(style, place_of(sample, style.brief)) .. coloured(style, sample.fate, fate_of(sample)) }
  if style.brief ~= "before" and style.brief ~= "all" then
    field_lines(style, "  ", sample.before, lines, true)
  end
  error_lines(style, sample, lines)
  result_lines(style, sample, lines)
  return lines
end

return sample_text
