-- SPDX-License-Identifier: MIT
-- Hostile schemas, descriptors and bytes for tide.avro, tide.protobuf and what decompresses. Readers and writers are
-- written as Lua, one for each schema: a name in it runs no code. What is small and would become large is refused.
local cjson = require "cjson"
local descriptors = require "spec.support.descriptors"
local tide = require "tidemill"
local wait = require "spec.support.wait"

local NAMES = { '"] = nil CANARY = 1 --', '") CANARY = 1 --', "a\nCANARY = 1 --", "a\r\nCANARY = 1", "]] CANARY = 1 --",
  '\\" CANARY = 1 --', '\\\n" .. CANARY', "%q", "%s%d", "a\0b", "end CANARY = 1", "t.x, at = CANARY", "--[[", "\255" }

describe("a hostile schema", function()
  before_each(function() rawset(_G, "CANARY", nil) end)

  local function is_contained() assert.is_nil(rawget(_G, "CANARY")) end

  for i, name in ipairs(NAMES) do
    it(("a hostile schema runs no code by its names, number %d"):format(i), function()
      local text = name:gsub("[%z\128-\255]", "?")
      local field = { name = text, type = "string" }
      for _, schema in ipairs {
        { type = "record", name = "R", fields = { field } }, { type = "record", name = text, fields = { field } },
        { type = "record", name = "R", namespace = text, fields = { { name = "x", type = "string" } } },
        { type = "enum", name = "E", symbols = { text } }, { type = "fixed", name = text, size = 1 },
        { type = "record", name = "R", fields = { { name = "x", type = "string", default = text } } },
        { type = "array", items = text }, { "null", text },
      } do
        local ok, codec = pcall(tide.avro.schema, cjson.encode(schema))
        if ok then
          codec:decode "\2a"
          pcall(codec.encode, codec, { [text] = "a", x = "a" })
          pcall(codec.encode, codec, text)
          pcall(codec.encode, codec, {})
        end
      end
      local message = descriptors.set("shop", { { "Order", descriptors.field(name, 1, "string") } })
      local made, types = pcall(tide.protobuf.types, message)
      if made then
        local order = types:message "shop.Order"
        assert.same({ [name] = "a" }, order:decode "\10\1a")
        assert.equal("\10\1a", order:encode { [name] = "a" })
        order:decode "\10"
        pcall(order.encode, order, { [name] = 1 })
      end
      pcall(tide.protobuf.types, descriptors.set(name, { { name, descriptors.field("x", 1, "string") } }))
      is_contained()
    end)
  end

  -- Each ends within some seconds with an error, or a codec, and takes no gigabytes.
  for what, make in pairs {
    ["arrays ten thousand deep"] = function()
      return tide.avro.schema, ('{"type":"array","items":'):rep(1e4) .. '"null"' .. ("}"):rep(1e4)
    end,
    ["a record of ten thousand fields"] = function()
      local fields = {}
      for i = 1, 1e4 do fields[i] = { name = "f" .. i, type = "long" } end
      return tide.avro.schema, cjson.encode { type = "record", name = "R", fields = fields }
    end,
    ["a record that holds itself"] = function()
      return tide.avro.schema, '{"type":"record","name":"R","fields":[{"name":"r","type":"R"}]}'
    end,
    ["an enum of ten thousand symbols"] = function()
      local symbols = {}
      for i = 1, 1e4 do symbols[i] = "S" .. i end
      return tide.avro.schema, cjson.encode { type = "enum", name = "E", symbols = symbols }
    end,
    ["a fixed of exabytes"] = function() return tide.avro.schema, '{"type":"fixed","name":"F","size":1e18}' end,
    ["a message of ten thousand fields"] = function()
      local fields = {}
      for i = 1, 1e4 do fields[i] = descriptors.field("f" .. i, i, "int64") end
      return tide.protobuf.types, descriptors.set("shop", { { "Order", table.concat(fields) } })
    end,
    ["descriptors a thousand deep"] = function()
      local text = ""
      for _ = 1, 1000 do text = descriptors.part(3, text) end
      return tide.protobuf.types, descriptors.part(1, descriptors.part(4, text))
    end,
  } do
    it("a hostile schema ends no worker by " .. what, function()
      local call, text = make()
      local from = wait.now()
      local ok, codec = pcall(call, text)
      if ok and codec.decode then codec:decode(("\2"):rep(1000)) end
      if ok and codec.message then pcall(function() codec:message("shop.Order"):decode(("\8\1"):rep(1000)) end) end
      assert.is_true(wait.now() - from < 20)
      assert.is_true(collectgarbage "count" < 600000)
    end)
  end

  it("hostile bytes become no value that is larger than they say", function()
    local nulls = tide.avro.schema '{"type":"array","items":"null"}'
    local value, reason = nulls:decode "\254\255\255\255\255\255\255\255\127\0"
    assert.is_nil(value)
    assert.is_string(reason)
    assert.is_nil((nulls:decode("\128\128\8" .. ("\128\128\8"):rep(1000) .. "\0")))
    local order = tide.protobuf.types(descriptors.set("shop", { { "Order", descriptors.field("x", 1, "string") } }))
      :message "shop.Order"
    assert.is_nil((order:decode "\10\255\255\255\255\7a"))
    assert.is_nil((tide.msgpack.decode "\221\255\255\255\255\192"))
    local bomb = tide.gzip.compress(("\0"):rep(2 ^ 23))
    assert.is_nil((tide.gzip.decompress(bomb, 2 ^ 20)))
    assert.is_nil((tide.zstd.decompress(tide.zstd.compress(("\0"):rep(2 ^ 23)), 2 ^ 20)))
  end)
end)
