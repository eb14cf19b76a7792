-- SPDX-License-Identifier: MIT
-- lib/csv.lua: tide.csv, lines of fields by RFC 4180. Written in Lua: LuaJIT compiles the loop over the bytes, and no
-- library of Debian tells an empty field from a broken one as strictly.
--   decode(text[, options]) -> an array of rows      encode(rows[, options]) -> text
--   decode_row(text[, options]) -> the only row      encode_row(row[, options]) -> its line, without an end of line
-- options: separator (","), quote ('"', or false: no byte is special), header: a list of names, then a row is a table
-- by these names; true in decode: the names are the first row; newline of encode ("\n").
-- A row ends at \n or \r\n. A text that has a quote inside of a plain field, text behind a quoted one, no closing
-- quote, or with a header another number of fields, gives nil and the reason with the line. A byte order mark at the
-- beginning is left out.
local arguments = require("tidemill.lib.arguments")
local check = require("tidemill.run.check")
local json = require("tidemill.run.json")
local marks = require("tidemill.run.marks")

local csv = {}

local LF, CR, MARK = 10, 13, "\239\187\191"
local DECODE = { separator = true, quote = true, header = true }
local ENCODE = { separator = true, quote = true, header = true, newline = true }

-- A byte of the options, -1 for none.
local function byte_of(value, default, name, may_be_false)
  if value == nil then return default end
  if value == false and may_be_false then return -1 end
  if type(value) ~= "string" or #value ~= 1 or value == "\n" or value == "\r" then
    error(("tide.csv: %s is one byte and no end of line, got %s"):format(name, arguments.shown(value)), 4)
  end
  return value:byte()
end

local function check_header(header, may_be_true)
  if header == nil or header == false or (header == true and may_be_true) then return end
  if type(header) ~= "table" or #header == 0 then
    error(("tide.csv: header is a list of names%s, got %s"):format(may_be_true and " or true" or "",
      arguments.shown(header)), 4)
  end
  local seen = {}
  for i = 1, #header do
    if type(header[i]) ~= "string" then
      error(("tide.csv: a name of the header is a string, got %s"):format(arguments.shown(header[i])), 4)
    end
    if seen[header[i]] then error(("tide.csv: the header has %q twice"):format(header[i]), 4) end
    seen[header[i]] = true
  end
end

-- separator, quote, header, newline; errors are raised in the line of the script.
local function options_of(options, what, known)
  if options == nil then return 44, 34, nil, "\n" end
  arguments.options(options, what, known, 4)
  local separator = byte_of(options.separator, 44, "separator")
  local quote = byte_of(options.quote, 34, "quote", true)
  if separator == quote then error("tide.csv: separator and quote are the same byte", 3) end
  check_header(options.header, known == DECODE)
  local newline = options.newline
  if newline ~= nil and newline ~= "\n" and newline ~= "\r\n" then
    error('tide.csv: newline is "\\n" or "\\r\\n", got ' .. arguments.shown(newline), 3)
  end
  return separator, quote, options.header, newline or "\n"
end

-- ---- text -> rows ----

-- The field behind the quote at `from` - 1, and where it ends: behind the closing quote. nil where there is none.
local function read_quoted(text, from, quote)
  local at, doubled = from, false
  while true do
    local byte = text:byte(at)
    if not byte then return nil end
    if byte == quote then
      if text:byte(at + 1) ~= quote then break end
      doubled, at = true, at + 1
    end
    at = at + 1
  end
  local field = text:sub(from, at - 1)
  if doubled then
    local one = string.char(quote)
    field = field:gsub((one .. one):gsub("%W", "%%%0"), (one:gsub("%%", "%%%%")))
  end
  return field, at + 1
end

-- Where the plain field at `at` ends: at its separator, end of line, or end of text. nil where it has a quote.
local function end_of_plain(text, at, separator, quote)
  while true do
    local byte = text:byte(at)
    if not byte or byte == separator or byte == LF then return at end
    if byte == CR and (text:byte(at + 1) or LF) == LF then return at end
    if byte == quote then return nil end
    at = at + 1
  end
end

-- The row at `at`, and where the next one begins; nil and the reason.
local function read_row(text, at, separator, quote)
  local row, count = {}, 0
  while true do
    local field, behind
    if text:byte(at) == quote then
      field, behind = read_quoted(text, at + 1, quote)
      if not field then return nil, "a quoted field is not closed" end
    else
      behind = end_of_plain(text, at, separator, quote)
      if not behind then return nil, "a quote inside of a plain field" end
      field = text:sub(at, behind - 1)
    end
    count = count + 1
    row[count] = field
    local byte = text:byte(behind)
    if byte == CR and (text:byte(behind + 1) or LF) == LF then behind, byte = behind + 1, LF end
    if byte == LF or not byte then return row, behind + 1 end
    if byte ~= separator then return nil, "text behind a quoted field" end
    at = behind + 1
  end
end

local function line_at(text, at)
  return select(2, text:sub(1, at - 1):gsub("\n", "")) + 1
end

local function problem(text, at, reason)
  return nil, ("csv: line %d: %s"):format(line_at(text, at), reason)
end

-- A row as a table by names; nil and the reason.
local function named(row, names)
  if #row ~= #names then return nil, ("%d fields where the header has %d"):format(#row, #names) end
  local object = {}
  for i = 1, #names do object[names[i]] = row[i] end
  return object
end

local function double_name(names)
  local seen = {}
  for _, name in ipairs(names) do
    if seen[name] then return name end
    seen[name] = true
  end
end

local function start_of(text)
  return text:sub(1, 3) == MARK and 4 or 1
end

function csv.decode(text, options)
  arguments.text(text, "tide.csv.decode")
  local separator, quote, header = options_of(options, "tide.csv.decode", DECODE)
  local rows, count, at = {}, 0, start_of(text)
  while at <= #text do
    local row, behind = read_row(text, at, separator, quote)
    if not row then return problem(text, at, behind) end
    if header == true then
      local double = double_name(row)
      if double then return problem(text, at, ("the header has %q twice"):format(double)) end
      header = row
    else
      local reason
      if header then row, reason = named(row, header) end
      if not row then return problem(text, at, reason) end
      count = count + 1
      rows[count] = header and row or marks.to_array(row)
    end
    at = behind
  end
  return marks.to_array(rows)
end

--- For a message that is one line. An empty text is a row of one empty field.
function csv.decode_row(text, options)
  arguments.text(text, "tide.csv.decode_row")
  local separator, quote, header = options_of(options, "tide.csv.decode_row", DECODE)
  if header == true then error("tide.csv.decode_row: one row has no header before it; header takes a list", 2) end
  local row, behind = read_row(text, start_of(text), separator, quote)
  if not row then return problem(text, 1, behind) end
  if behind <= #text then return nil, "csv: more than one row" end
  if not header then return marks.to_array(row) end
  local object, reason = named(row, header)
  if not object then return problem(text, 1, reason) end
  return object
end

-- ---- rows -> text ----

local function text_of(value, what)
  local kind = type(value)
  if kind == "string" then return value end
  if value == nil or value == json.null then return "" end
  if kind == "boolean" then return value and "true" or "false" end
  local ok, text = pcall(json.public.text, value)
  if not ok or kind == "table" and marks.of(value) ~= marks.STAND_IN then
    error(("%s: a field is a string, number, boolean or null, got %s"):format(what, arguments.shown(value)), 4)
  end
  return text
end

local function put_in_quotes(text, quote, what, level)
  if quote == -1 then
    error(what .. ": no quotes, and a field has a separator, an end of line or a byte order mark", level)
  end
  local one = string.char(quote)
  return one .. text:gsub(one:gsub("%W", "%%%0"), ((one .. one):gsub("%%", "%%%%"))) .. one
end

local function write_field(value, separator, quote, what)
  local text = text_of(value, what)
  local special = false
  for i = 1, #text do
    local byte = text:byte(i)
    if byte == separator or byte == quote or byte == LF or byte == CR then special = true end
  end
  return special and put_in_quotes(text, quote, what, 5) or text
end

-- The fields of a row of a script: its keys by the header, else 1 to n.
local function write_row(row, header, separator, quote, what)
  if type(row) ~= "table" then error(("%s: a row is a table, got %s"):format(what, arguments.shown(row)), 3) end
  local fields, count = {}, header and #header or 0
  if not header then
    for key in pairs(row) do
      if type(key) ~= "number" or key < 1 or key % 1 ~= 0 then
        error(("%s: a row without header has the keys 1 to n, got %s"):format(what, arguments.shown(key)), 3)
      end
      count = math.max(count, key)
    end
  end
  if count > 1e6 then error(("%s: a row of more than a million fields"):format(what), 3) end
  for i = 1, count do
    local value
    if header then value = row[header[i]] else value = row[i] end
    fields[i] = write_field(value, separator, quote, what)
    if i == 1 and fields[1]:sub(1, 3) == MARK then fields[1] = put_in_quotes(fields[1], quote, what, 4) end
  end
  -- One empty field is written with quotes, as an empty line might be none at all.
  if count == 1 and fields[1] == "" and quote ~= -1 then return string.char(quote, quote) end
  if count == 0 then error(what .. ": a row has at least one field", 3) end
  return table.concat(fields, string.char(separator))
end

function csv.encode_row(row, options)
  local separator, quote, header = options_of(options, "tide.csv.encode_row", ENCODE)
  return (write_row(row, header, separator, quote, "tide.csv.encode_row"))
end

--- With a header its names are the first line.
function csv.encode(rows, options)
  local separator, quote, header, newline = options_of(options, "tide.csv.encode", ENCODE)
  local wrong = check.not_array(rows)
  if wrong then
    error(("tide.csv.encode takes an array of rows; this %s %s"):format(type(rows) == "table" and "has" or "is", wrong),
      2)
  end
  local lines = { header and write_row(header, nil, separator, quote, "tide.csv.encode") or nil }
  for i = 1, #rows do
    lines[#lines + 1] = write_row(rows[i], header, separator, quote, "tide.csv.encode")
  end
  lines[#lines + 1] = ""
  return table.concat(lines, newline)
end

return csv
