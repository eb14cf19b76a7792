-- SPDX-License-Identifier: MIT
-- Dead letters as `tidemill dlq` reads them: a line of a dead-letter file, a message of a topic, and what is
-- remembered of those that were processed (cli/dlq). Anybody may have written them. Whatever stands there is no dead
-- letter, or one that can be shown, chosen and replayed; what the engine writes of the same bytes is read as these
-- bytes. Input: the bytes.
local ffi = require("ffi")
local cjson = require("cjson")
local base64 = require("tidemill.lib.base64")
local batches = require("spec.support.batch")
local dead_letter = require("tidemill.cli.dlq.dead_letter")
local filter = require("tidemill.cli.dlq.filter")
local header_codec = require("tidemill.run.headers")
local output = require("tidemill.cli.dlq.output")
local ranges = require("tidemill.cli.dlq.ranges")
local C = require("spec.support.headers").declare("base/text.h", "chain/dead_letter.h")

-- Its lines count in check_base64 alone, for a few bytes: there are several for each letter.
local encode, decode = base64.encode, base64.decode
base64.encode, base64.decode = fuzz_uncounted(encode), fuzz_uncounted(decode)

local COLUMNS = 10
local written = {}
local stdout = {}
function stdout.write(_, ...)
  for _, piece in ipairs { ... } do written[#written + 1] = piece end
end

local function printed(show, ...)
  local real = io.stdout
  written, io.stdout = {}, stdout -- luacheck: ignore 122
  local done, problem = pcall(show, ...)
  io.stdout = real -- luacheck: ignore 122
  assert(done, problem)
  return table.concat(written)
end

local wanted = filter.new { reason = "error", partition = 0, match = "x", since = 0, before = 10,
  offset = { first = 0, last = 10 } }
local any = filter.new {}

-- The terminal of who looks gets text: no control byte but the ones that make lines.
local function check_shown(found)
  found.size = found.value and #found.value
  local line = printed(output.list, { found }, "tsv")
  assert(select(2, line:gsub("\t", "")) == COLUMNS - 1 and line:find("^[^%z\1-\8\10-\31\127]*\n$"), "a line is no line")
  assert(not printed(output.list, { found }, "table"):find("[%z\1-\9\11-\31\127]"), "a table has control bytes")
  assert(not printed(output.show, { found }, "text"):find("[%z\1-\8\11-\31\127]"), "a text has control bytes")
  cjson.decode(printed(output.show, { found }, "json"))
end

local function check_found(found)
  if not found then return end
  assert(type(dead_letter.id(found)) == "string" and type(dead_letter.origin(found)) == "string")
  local topic, partition = dead_letter.destination(found)
  assert(topic == nil or type(topic) == "string", "a topic that is no text")
  assert(partition == nil or partition >= 0 and partition < 2 ^ 31 and partition % 1 == 0, "no partition")
  assert(any(found) and type(wanted(found)) == "boolean")
  assert(found.value == nil or type(found.value) == "string")
  assert(found.key == nil or type(found.key) == "string")
  local headers = dead_letter.replay_headers(found)
  assert(#header_codec.pack(header_codec.list(headers, 1)) > 0)
  check_shown(found)
end

-- Pieces between zero bytes, as names and values in turn.
local function headers_of(text)
  local headers, name = {}, nil
  for piece in (text .. "\0"):gmatch("(%Z*)%z") do
    if name then
      headers[#headers + 1] = { name, piece ~= "null" and piece or nil }
      name = nil
    else
      name = piece
    end
  end
  return headers
end

local function same_headers(one, other)
  if #one ~= #other then return false end
  for i, header in ipairs(one) do
    if header[1] ~= other[i][1] or header[2] ~= other[i][2] then return false end
  end
  return true
end

local line = ffi.gc(ffi.new "struct tide_text", C.tide_text_free)

-- The line that the engine writes of a message with these bytes everywhere.
local function check_round_trip(text)
  local headers = headers_of(text)
  local message, keep = batches.message { value = text, key = #text % 2 == 0 and text or nil, headers = headers }
  local plain = text:match("^[\32-\126]*")
  local reject = ffi.new("struct tide_reject", { message = message, stage = "task", reason = "error", error = plain,
    attempts = 1 })
  local from = ffi.new("struct tide_dead_letter_source", { topic = "in", partition = 3, offset = 7, count = 1,
    target_partition = -1 })
  C.tide_dead_letter_line(line, reject, from)
  local found = dead_letter.of_line { value = ffi.string(line.data, line.length), partition = 0, offset = 5 }
  assert(found, "what the engine wrote is no dead letter")
  assert(found.value == text and found.key == (#text % 2 == 0 and text or nil), "other bytes")
  assert(same_headers(found.headers, headers), "other headers")
  assert((found.error or "") == plain and found.original_partition == 3 and found.original_offset == 7, "other fields")
  assert(keep)
  if #text % 4 == 0 then check_found(found) end -- as costly as all else
end

local seen = {}
for offset = 0, 60 do seen[#seen + 1] = offset end

-- What is remembered is that of a consumer group, which others may commit to.
local function check_ranges(text)
  local from = #text > 0 and text:byte() % 8 or 0
  local is_processed = ranges.decode(from, text)
  local first, metadata = ranges.encode(seen, is_processed)
  local again = ranges.decode(first, metadata)
  for _, offset in ipairs(seen) do assert(is_processed(offset) == again(offset), "another dead letter is processed") end
end

local function check_base64(whole)
  local text = whole:sub(1, 60)
  local bytes = decode(text)
  if bytes then
    local kind = text:find("[-_]") and "url" or nil
    local plain = encode(bytes, kind):gsub("=", "")
    local mixed = text:find("[-_]") and text:find("[+/]")
    assert(mixed or plain == text:gsub("=", ""), "base64 is read as other bytes")
  end
  assert(decode(encode(text)) == text, "base64 does not come back")
end

return function(text)
  check_found(dead_letter.of_line { value = text, partition = 0, offset = 3 })
  check_found(dead_letter.of_message { value = text, key = text, headers = headers_of(text), partition = 1,
    offset = 2 })
  check_round_trip(text)
  check_ranges(text)
  check_base64(text)
end
