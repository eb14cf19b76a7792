-- SPDX-License-Identifier: MIT
-- lib/avro_codec.lua: a schema of Avro as an object with decode and encode (lib/avro.lua has what they give and take).
local ffi = require("ffi")
local arguments = require("tidemill.lib.arguments")
local avro_read = require("tidemill.lib.avro_read")
local avro_schema = require("tidemill.lib.avro_schema")
local avro_write = require("tidemill.lib.avro_write")
local json = require("tidemill.run.json")
local varint = require("tidemill.lib.varint")

local avro_codec = {}

local MOST_KEPT = 1000 -- schemas
local bytes_type = ffi.typeof("const uint8_t *")

local function decoder(node, tagged)
  local read, where = avro_read.make(node, tagged)
  return function(_, bytes)
    arguments.text(bytes, "schema:decode")
    local size = #bytes
    avro_codec.held = bytes -- compiled code would let it go while it is read
    local ok, value, behind = pcall(read, ffi.cast(bytes_type, bytes), 0, size, 0)
    if ok and behind == size then return value end
    if ok then return nil, ("avro: more bytes behind the value, from byte %d on"):format(behind) end
    if type(value) ~= "table" then error(value, 0) end
    local field = where()
    return nil, ("avro: %s%s, at byte %d"):format(field and field .. ": " or "", value[1], value.at)
  end
end

local function encoder(node, tagged)
  local write, where = avro_write.make(node, tagged)
  return function(_, value)
    if json.is_view(value) then value = json.public.table(value) end
    varint.begin()
    local ok, problem = pcall(write, value, 0)
    if ok then return varint.text() end
    if type(problem) ~= "table" then error(problem, 0) end
    error(("schema:encode: %s %s"):format(where() or "the value", problem[1]), 2)
  end
end

-- What works with the bytes is in closures and no field, so that a script cannot call it with others.
local function codec_of(node, tagged)
  return { decode = decoder(node, tagged), encode = encoder(node, tagged) }
end

local kept, count = { [true] = {}, [false] = {} }, 0

--- The schema of a text, or nil and what is wrong with it. `tagged`: true or false. `before`: texts that declare what
--- it refers to, or nil. One that was made before is given again.
function avro_codec.make(text, tagged, before)
  local name = before and #before > 0 and text .. "\0" .. table.concat(before, "\0") or text
  local found = kept[tagged][name]
  if found then return found end
  local node, problem = avro_schema.read(text, before)
  if not node then return nil, problem end
  local ok
  ok, found = pcall(codec_of, node, tagged)
  if not ok and type(found) ~= "table" then error(found, 0) end
  if not ok then return nil, "the schema: " .. found[1] end
  if count == MOST_KEPT then kept, count = { [true] = {}, [false] = {} }, 0 end
  kept[tagged][name], count = found, count + 1
  return found
end

return avro_codec
