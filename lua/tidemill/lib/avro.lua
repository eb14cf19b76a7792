-- SPDX-License-Identifier: MIT
-- lib/avro.lua: tide.avro, values of Apache Avro (binary encoding, one value; no object container files).
--   schema(text[, options]), load(path[, options]) -> a schema: schema:decode(bytes), schema:encode(value)
--   unwrap(bytes) -> the number of the schema, the bytes of the value; wrap(number, bytes): Confluent's wire format
--   decimal(bytes, scale) -> text; decimal_bytes(text, scale[, size]): the logical type "decimal"
-- Lua has: null tide.null, boolean, int and long numbers (int64 beyond 2^53), float and double numbers, bytes, fixed,
-- string and enum strings, array tide.array, map and record tables, union the value itself; with the option
-- tagged = true { name = value }, and null.
-- decode gives nil and the reason, with the field and the byte, for what is no value of the schema, nests deeper than
-- 100, or has more bytes behind its end. encode raises with the field; a field that is absent takes its default, or is
-- null where its union has null; one that the record does not have is refused.
local arguments = require("tidemill.lib.arguments")
local avro_codec = require("tidemill.lib.avro_codec")
local beside = require("tidemill.lib.beside")
local confluent = require("tidemill.lib.confluent")
local decimal = require("tidemill.lib.decimal")

local avro = {}

local MOST_ID, MOST_DIGITS = 2 ^ 32 - 1, 1000
local OPTIONS = { tagged = true }
local function is_tagged(options)
  if options == nil then return false end
  arguments.options(options, "tide.avro", OPTIONS, 4)
  if options.tagged ~= nil and type(options.tagged) ~= "boolean" then
    error("tide.avro: tagged takes true or false, got " .. arguments.shown(options.tagged), 3)
  end
  return options.tagged or false
end

function avro.schema(text, options)
  arguments.text(text, "tide.avro.schema")
  local tagged = is_tagged(options)
  local schema, problem = avro_codec.make(text, tagged)
  if not schema then error("tide.avro.schema: " .. problem, 2) end
  return schema
end

function avro.load(path, options)
  arguments.text(path, "tide.avro.load")
  local tagged = is_tagged(options)
  local text, problem = beside.read(path, debug.getinfo(2, "S"))
  if not text then error("tide.avro.load: " .. problem, 2) end
  local schema
  schema, problem = avro_codec.make(text, tagged)
  if not schema then error(("tide.avro.load: %s: %s"):format(path, problem), 2) end
  return schema
end

function avro.unwrap(bytes)
  arguments.text(bytes, "tide.avro.unwrap")
  local id, rest = confluent.split(bytes)
  if not id then return nil, "avro: " .. rest end
  return id, rest
end

function avro.wrap(id, bytes)
  id = arguments.integer(id, "tide.avro.wrap: the number of a schema", 0, MOST_ID)
  arguments.text(bytes, "tide.avro.wrap")
  return confluent.head(id) .. bytes
end

function avro.decimal(bytes, scale)
  arguments.text(bytes, "tide.avro.decimal")
  scale = arguments.integer(scale, "tide.avro.decimal: a scale", 0, MOST_DIGITS)
  if bytes == "" then return nil, "avro: a decimal of no bytes" end
  if #bytes > MOST_DIGITS then return nil, ("avro: a decimal of more than %d bytes"):format(MOST_DIGITS) end
  return decimal.text(bytes, scale)
end

function avro.decimal_bytes(text, scale, size)
  arguments.text(text, "tide.avro.decimal_bytes")
  scale = arguments.integer(scale, "tide.avro.decimal_bytes: a scale", 0, MOST_DIGITS)
  if size ~= nil then
    size = arguments.integer(size, "tide.avro.decimal_bytes: a size", 1, MOST_DIGITS)
  end
  if #text > MOST_DIGITS then return nil, ("avro: a decimal of more than %d digits"):format(MOST_DIGITS) end
  local bytes, problem = decimal.bytes(text, scale, size)
  if not bytes then return nil, "avro: " .. problem end
  return bytes
end

return avro
