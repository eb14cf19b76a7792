-- SPDX-License-Identifier: MIT
-- cli/dlq/output.lua prints dead letters: as a table on a terminal, else as tab-separated lines or JSON lines; or each
-- of them whole.
local base64 = require("tidemill.lib.base64")
local dead_letter = require("tidemill.cli.dlq.dead_letter")
local json = require("tidemill.cli.json")
local time = require("tidemill.lib.time")
local utf8 = require("tidemill.lib.utf8")
local posix = require("tidemill.run.posix")

local output = {}

local STDOUT = 1
local WIDEST, WIDEST_COUNTED = 80, 300 -- of a cell, in bytes

--- Adds the flag.
function output.define(command)
  command:option("--format"):argname("FORMAT"):choices({ "table", "tsv", "json" })
    :description("table, tsv (tab-separated, no head) or json (an object a line, bytes in base64); without it a table "
      .. "on a terminal, else tsv.")
end

local function escapes(kept)
  local map = { ["\\"] = "\\\\" }
  for code = 0, 255 do
    if code < 32 or code >= 127 then map[string.char(code)] = ("\\x%02x"):format(code) end
  end
  for c in kept:gmatch(".") do map[c] = nil end
  return map
end

local OF_LINE, OF_TEXT = escapes(""), escapes("\n\t\\")

-- Control bytes, tabs and newlines among them, and bytes that are not UTF-8 as \xNN: a line stays a line.
local function visible(text, map)
  local valid = not text:find("[\128-\255]") or utf8.len(text)
  return (text:gsub(valid and "[%z\1-\31\127\\]" or "[%z\1-\31\127\\\128-\255]", map or OF_LINE))
end

local function moment(ms)
  return ms and ms >= 0 and time.format(ms, "ms") or "-"
end

-- Where replay would send it, as topic or topic/partition.
local function destination(found)
  local topic, partition = dead_letter.destination(found)
  if not topic then return "-" end
  return partition and ("%s/%d"):format(topic, partition) or topic
end

local COLUMNS = {
  { "LETTER", dead_letter.id },
  { "FROM", dead_letter.origin },
  { "TIMESTAMP", function(found) return moment(found.original_timestamp) end },
  { "STAGE", function(found) return found.stage or "-" end },
  { "REASON", function(found) return found.reason or "-" end },
  { "REPLAYS", function(found) return ("%d"):format(found.replays) end },
  { "KEY", function(found) return found.key or "-" end },
  { "BYTES", function(found) return found.size and ("%d"):format(found.size) or "-" end },
  { "ERROR", function(found)
    local marks = (found.truncated and " (truncated)" or "") .. (found.intermediate and " (intermediate)" or "")
      .. (found.timer and " (timer)" or "")
    return (found.error or "-") .. marks
  end },
  { "REPLAY TO", destination },
}

-- Of what dlq count prints.
local COUNTS = {
  { "COUNT", function(kind) return ("%d"):format(kind.count) end },
  { "STAGE", function(kind) return kind.stage or "-" end },
  { "REASON", function(kind) return kind.reason or "-" end },
  { "ERROR", function(kind) return kind.error or "-" end },
  { "FIRST", function(kind) return kind.first end },
}

local function cells_of(columns, found)
  local cells = {}
  for i, column in ipairs(columns) do cells[i] = visible(column[2](found)) end
  return cells
end

local function write_tsv(columns, list)
  for _, found in ipairs(list) do io.stdout:write(table.concat(cells_of(columns, found), "\t"), "\n") end
end

local function write_table(columns, list, widest)
  local rows, widths = { {} }, {}
  for i, column in ipairs(columns) do rows[1][i] = column[1] end
  for _, found in ipairs(list) do rows[#rows + 1] = cells_of(columns, found) end
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do
      if #cell > widest then row[i] = cell:sub(1, widest - 3) .. "..." end
      widths[i] = math.max(widths[i] or 0, #row[i])
    end
  end
  for _, row in ipairs(rows) do
    for i = 1, #row - 1 do row[i] = row[i] .. (" "):rep(widths[i] - #row[i]) end
    io.stdout:write(table.concat(row, "  "), "\n")
  end
end

local FIELDS = { "original_topic", "original_partition", "original_offset", "original_timestamp", "original_count",
  "target_topic", "target_partition", "stage", "reason", "error", "traceback", "cause", "attempts",
  "truncated", "intermediate", "timer", "original_size", "sha256", "replays", "size" }

local function json_of(value)
  return json.encode(type(value) == "string" and visible(value, OF_TEXT) or value)
end

local function bytes(text)
  return text and '"' .. base64.encode(text) .. '"' or "null"
end

local function write_json(letters, whole)
  for _, found in ipairs(letters) do
    local parts = { ('"letter":"%s"'):format(dead_letter.id(found)) }
    for _, name in ipairs(FIELDS) do
      if found[name] ~= nil then parts[#parts + 1] = ('"%s":%s'):format(name, json_of(found[name])) end
    end
    parts[#parts + 1] = '"key":' .. bytes(found.key)
    if whole then
      local headers = {}
      for i, header in ipairs(found.headers) do
        headers[i] = ("[%s,%s]"):format(bytes(header[1]), bytes(header[2]))
      end
      parts[#parts + 1] = '"value":' .. bytes(found.value)
      parts[#parts + 1] = '"headers":[' .. table.concat(headers, ",") .. "]"
    end
    io.stdout:write("{", table.concat(parts, ","), "}\n")
  end
end

local function write_rows(columns, list, format)
  if format == "tsv" then return write_tsv(columns, list) end
  if #list > 0 then write_table(columns, list, columns == COUNTS and WIDEST_COUNTED or WIDEST) end
end

local function default_format()
  return posix.isatty(STDOUT) == 1 and "table" or "tsv"
end

--- Prints one line for each dead letter.
function output.list(letters, format)
  format = format or default_format()
  if format == "json" then return write_json(letters) end
  return write_rows(COLUMNS, letters, format)
end

--- Prints one line for each kind of dead letters (cli/dlq/count.lua).
function output.count(kinds, format)
  format = format or default_format()
  if format ~= "json" then return write_rows(COUNTS, kinds, format) end
  for _, kind in ipairs(kinds) do
    local parts = { ('"count":%d'):format(kind.count) }
    for _, name in ipairs { "stage", "reason", "error", "first" } do
      if kind[name] then parts[#parts + 1] = ('"%s":%s'):format(name, json_of(kind[name])) end
    end
    io.stdout:write("{", table.concat(parts, ","), "}\n")
  end
end

local function line(name, value)
  if value ~= nil and value ~= "" then io.stdout:write(("%-11s %s\n"):format(name, value)) end
end

local function indented(text)
  return (visible(text, OF_TEXT):gsub("^\n", ""):gsub("\n", "\n            "))
end

local function write_whole(found)
  local others = found.original_count and (" and %d more"):format(found.original_count - 1) or ""
  line("letter", dead_letter.id(found))
  line("from", visible(dead_letter.origin(found)) .. others)
  line("replay to", visible(destination(found)))
  line("holds", found.intermediate and "what an earlier step made of the message (intermediate)"
    or found.timer and "a timer of this key, and no message (timer)" or nil)
  line("timestamp", moment(found.original_timestamp))
  for _, name in ipairs { "stage", "reason", "cause", "attempts" } do
    line(name, found[name] and visible(tostring(found[name])))
  end
  line("replays", found.replays)
  line("error", found.error and indented(found.error))
  line("traceback", found.traceback and indented(found.traceback))
  for _, header in ipairs(found.headers) do
    line("header", visible(header[1]) .. " = " .. (header[2] and visible(header[2]) or "(null)"))
  end
  if found.truncated then
    line("truncated", ("the first %d of %d bytes; sha256 of the whole: %s"):format(found.size or 0,
      found.original_size or 0, visible(found.sha256 or "-")))
  end
  line("key", found.key and indented(found.key) or "(null)")
  line("value", found.value and indented(found.value) or "(null)")
end

--- Prints dead letters whole (scan.read's `whole`), as text or as JSON lines.
function output.show(letters, format)
  if format == "json" then return write_json(letters, true) end
  for i, found in ipairs(letters) do
    if i > 1 then io.stdout:write("\n") end
    write_whole(found)
  end
end

return output
