-- SPDX-License-Identifier: MIT
-- Types of the binary codecs that the fuzz target codecs reads by, with values of them for its corpus: between them
-- they have each kind of type.
local descriptors = require "spec.support.descriptors"

local codec_samples = {}

codec_samples.AVRO = {
  [[{"type":"record","name":"shop.Order","fields":[{"name":"id","type":"long"},{"name":"note","type":["null","string"]},
  {"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":[
  {"name":"price","type":"double"},{"name":"state","type":{"type":"enum","name":"State","symbols":["NEW","PAID"]}}]}}},
  {"name":"raw","type":"bytes"},{"name":"mac","type":{"type":"fixed","name":"Mac","size":2}},
  {"name":"part_of","type":["null","Order"]}]}]],
  '["null","boolean","int","long","float","double",{"type":"map","values":["float","string"]}]',
  '{"type":"array","items":{"type":"array","items":"null"}}',
  '{"type":"map","values":{"type":"record","name":"E","fields":[{"name":"x","type":"null"}]}}',
}

--- For each of them, values: unions are tagged.
function codec_samples.avro_values(null)
  local order = { id = 7, note = { string = "n" }, lines = { { price = 1.5, state = "PAID" } }, raw = "\255a",
    mac = "ab", part_of = null }
  return {
    { order, { id = 9007199254740993LL, note = null, lines = {}, raw = "", mac = "\0\0",
      part_of = { ["shop.Order"] = order } } },
    { null, { boolean = true }, { int = -5 }, { long = 2 ^ 40 }, { float = 0.5 }, { double = 0 / 0 },
      { map = { a = { string = "x" }, b = { float = 1 } } } },
    { { { null, null }, {} } },
    { { a = { x = null } } },
  }
end

local SCALARS = { "double", "float", "int64", "uint64", "int32", "fixed64", "fixed32", "bool", "string", "bytes",
  "uint32", "sfixed32", "sfixed64", "sint32", "sint64" }

--- The descriptors of shop.Order: a field of each kind, named as it, lists, maps and a oneof.
function codec_samples.descriptors()
  local field, part, parts = descriptors.field, descriptors.part, {}
  for i, kind in ipairs(SCALARS) do
    parts[#parts + 1] = field(kind, i, kind)
    parts[#parts + 1] = field(kind .. "s", 100 + i, kind, { repeated = true })
  end
  local function add(...) parts[#parts + 1] = field(...) end
  add("state", 20, "enum", { type = ".shop.State" })
  add("part_of", 21, "message", { type = ".shop.Order" })
  add("lines", 22, "message", { type = ".shop.Order", repeated = true })
  add("tags", 23, "message", { type = ".shop.Order.TagsEntry", repeated = true })
  add("flags", 24, "message", { type = ".shop.Order.FlagsEntry", repeated = true })
  add("by_id", 25, "message", { type = ".shop.Order.ByIdEntry", repeated = true })
  add("card", 26, "string", { oneof = 0 })
  add("cash", 27, "message", { type = ".shop.Order", oneof = 0 })
  add("states", 28, "enum", { type = ".shop.State", repeated = true })
  local entries = descriptors.entry("TagsEntry", "string", "sint64")
    .. descriptors.entry("FlagsEntry", "bool", "enum", { type = ".shop.State" })
    .. descriptors.entry("ByIdEntry", "int64", "message", { type = ".shop.Order" })
  local state = part(5, part(1, "State") .. part(2, part(1, "NEW") .. "\16\0") .. part(2, part(1, "PAID") .. "\16\1"))
  local set = descriptors.set("shop", { { "Order", table.concat(parts) .. entries .. part(8, part(1, "pay")) } })
  -- The enum goes into the file, whose bytes the set is but for a tag and their length.
  return part(1, set:match "^\10[\128-\255]*[%z\1-\127](.*)$" .. state)
end

function codec_samples.protobuf_values()
  local order = { int64 = 9007199254740993LL, double = 0.5, string = "a\0b", bytes = "\255", bool = true, sint32 = -1,
    tags = { a = -1 }, flags = { ["true"] = "PAID" }, state = "PAID", doubles = { 1, 0 / 0 }, sint64s = { -1, 2 ^ 50 } }
  return { order, { part_of = order, lines = { order, {} }, by_id = { ["-7"] = order }, card = "x" },
    { cash = order, states = { "NEW", 17 }, strings = { "", "x" }, fixed64 = 18446744073709551615ULL } }
end

return codec_samples
