-- SPDX-License-Identifier: MIT
-- The key of a message, by what a pipeline says it is, and the lane of a key (chain/lane_key.h).
local ffi = require "ffi"
local batches = require "spec.support.batch"
local C = require("spec.support.headers").declare("chain/lane_key.h")

local bytes, length = ffi.new "const char *[1]", ffi.new "uint32_t[1]"

-- The key of the message of these fields; nil = it has none.
local function key_of(by, name, fields)
  local reader = C.tide_lane_key_new(by, name)
  local message, keep = batches.message(fields)
  local found = C.tide_lane_key_read(reader, message, bytes, length)
  local text = found and ffi.string(bytes[0], length[0]) or nil
  C.tide_lane_key_free(reader)
  return text, keep
end

local function of_json(path, value)
  return (key_of(C.TIDE_BY_JSON, path, { value = value }))
end

describe("the key of a message", function()
  it("the key of a message is its key, empty or not; null is none", function()
    assert.equal("k", (key_of(C.TIDE_BY_KEY, nil, { key = "k", value = "v" })))
    assert.equal("", (key_of(C.TIDE_BY_KEY, nil, { key = "", value = "v" })))
    assert.is_nil((key_of(C.TIDE_BY_KEY, nil, { value = "v" })))
  end)

  it("the key of a message is the last header of that name", function()
    local headers = { { "a", "1" }, { "user", "7" }, { "user", "8" }, { "null" }, { "users", "9" } }
    assert.equal("8", (key_of(C.TIDE_BY_HEADER, "user", { headers = headers })))
    assert.is_nil((key_of(C.TIDE_BY_HEADER, "null", { headers = headers })))
    assert.is_nil((key_of(C.TIDE_BY_HEADER, "use", { headers = headers })))
    assert.is_nil((key_of(C.TIDE_BY_HEADER, "user", { value = "v" })))
  end)

  it("the key of a message is the string, number or boolean at a path of its JSON value", function()
    local value = '{"user":{"id":"u\\u0031","n":1.0,"big":12345678901234567890123,"i":9007199254740993,'
      .. '"u":18446744073709551615,"t":true,"f":false,"z":null,"e":""},"items":[{"sku":"a"},{"sku":"b"}]}'
    local expected = { ["user.id"] = "u1", ["user.n"] = "1", ["user.big"] = "12345678901234567890123",
      ["user.i"] = "9007199254740993", ["user.u"] = "18446744073709551615", ["user.t"] = "true",
      ["user.f"] = "false", ["user.e"] = "", ["items.2.sku"] = "b" }
    for path, key in pairs(expected) do assert.equal(key, of_json(path, value), path) end
    for _, path in ipairs { "user", "user.z", "user.none", "user.id.x", "items", "items.0.sku", "items.3.sku",
      "items.x.sku", "items.9999999999.sku", "none" } do
      assert.is_nil(of_json(path, value), path)
    end
    assert.equal(of_json("n", '{"n":1}'), of_json("n", '{"n":1e0}'))
    assert.equal("7", of_json("2", '[6,7]'))
  end)

  it("a message whose value is no JSON, empty or null has no key in it", function()
    for _, value in ipairs { "", "no", '{"a":1', '"a"', "7", "null" } do assert.is_nil(of_json("a", value), value) end
    assert.is_nil(of_json("a", nil))
  end)

  it("a message without a key says why", function()
    local function missing(by, name, fields)
      local reader, message = C.tide_lane_key_new(by, name), batches.message(fields)
      assert.is_false(C.tide_lane_key_read(reader, message, bytes, length))
      local text = ffi.string(C.tide_lane_key_missing(reader, message))
      C.tide_lane_key_free(reader)
      return text
    end
    local json = C.TIDE_BY_JSON
    assert.equal('its key is null; by may name a field, as "json:id"', missing(C.TIDE_BY_KEY, nil, { value = "v" }))
    local headers = { { "user" } }
    assert.equal('it has no header "user" with a value', missing(C.TIDE_BY_HEADER, "user", { headers = headers }))
    assert.equal("its value is null", missing(json, "id", {}))
    assert.matches("^its value is not JSON: .*byte 1", missing(json, "id", { value = "no" }))
    for value, what in pairs { ['{}'] = "is not there", ["[]"] = "is not there", ["7"] = "is not there",
      ['{"id":null}'] = "is null", ['{"id":[1]}'] = "is an array", ['{"id":{}}'] = "is an object" } do
      assert.equal("json:id " .. what, missing(json, "id", { value = value }))
    end
  end)

  it("the key of a message is its topic and partition", function()
    local function place(topic, partition)
      return (key_of(C.TIDE_BY_PARTITION, nil, { topic = topic, partition = partition }))
    end
    assert.equal(place(1, 2), place(1, 2))
    assert.is_true(place(1, 2) ~= place(2, 1))
    assert.is_true(place(1, 2) ~= place(1, 3))
  end)
end)

describe("the lane of a key", function()
  -- How unevenly so many keys lie in the lanes: the fullest against the mean.
  local function worst(lanes, total, make)
    local counts, most = {}, 0
    for i = 1, total do
      local key = make(i)
      local lane = C.tide_lane_of_key(key, #key, lanes)
      assert.is_true(lane < lanes)
      counts[lane] = (counts[lane] or 0) + 1
      most = math.max(most, counts[lane])
    end
    return most / (total / lanes)
  end

  it("the lane of a key is always the same, and keys are spread evenly over any number of lanes", function()
    assert.equal(C.tide_lane_of_key("abc", 3, 7), C.tide_lane_of_key("abcd", 3, 7))
    assert.equal(0, C.tide_lane_of_key("", 0, 1))
    local makes = {
      function(i) return tostring(i) end, function(i) return ("user-%08d"):format(i) end,
      function(i) return ffi.string(ffi.new("int64_t[1]", i * 1024), 8) end,
      function(i) return ("x"):rep(i % 3 + 20) .. i end, function(i) return ("\0"):rep(i % 100 + 1) .. i end,
    }
    for n, make in ipairs(makes) do
      for _, lanes in ipairs { 2, 3, 4, 7, 16 } do
        local share = worst(lanes, 20000, make)
        assert.is_true(share < 1.1, ("keys %d over %d lanes: the fullest has %.2f times"):format(n, lanes, share))
      end
    end
  end)

  it("the keys that a producer puts into one partition are spread over all lanes", function()
    local hash = require "tidemill.lib.hash"
    local in_partition = {}
    for i = 1, 60000 do
      local key = "key" .. i
      if hash.crc32c(key) % 8 == 3 then in_partition[#in_partition + 1] = key end
    end
    assert.is_true(worst(8, 7000, function(i) return in_partition[i] end) < 1.15)
  end)
end)
