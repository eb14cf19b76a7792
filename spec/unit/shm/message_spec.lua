-- SPDX-License-Identifier: MIT
local ffi = require "ffi"
local batch = require "spec.support.batch"
local C, pack = batch.C, batch.pack

local PAGE = 4096
local edge -- the end of a page behind which nothing may be read

local function at_the_edge(bytes)
  local place = edge - #bytes
  ffi.copy(place, bytes, #bytes)
  return place
end

-- The headers of packed bytes, and the last status.
local function unpack_all(bytes)
  local place, at, header = at_the_edge(bytes), ffi.new("uint32_t[1]"), ffi.new("struct tide_header")
  local list = {}
  local status
  repeat
    status = C.tide_header_next(place, #bytes, at, header)
    if status == 1 then
      list[#list + 1] = { ffi.string(header.name, header.name_length),
        header.value ~= nil and ffi.string(header.value, header.value_length) or nil }
      assert.is_true(header.value ~= nil or header.value_length == 0)
    end
    assert.is_true(at[0] <= #bytes)
  until status ~= 1
  return list, status
end

setup(function()
  local pages = ffi.cast("char *", ffi.C.mmap(nil, 2 * PAGE, 3, 0x22, -1, 0))
  assert.equal(0, ffi.C.mprotect(pages + PAGE, PAGE, 0))
  edge = pages + PAGE
end)

describe("packed headers", function()
  it("packed headers come back in order, duplicates, empty names and values, NULs and nulls included", function()
    local headers = { { "a", "1" }, { "a", "2" }, { "", "" }, { "null" }, { "empty", "" }, { "n\0l", "\0\0" } }
    local list, status = unpack_all(pack(headers))
    assert.same(headers, list)
    assert.equal(0, status)
  end)

  it("packed headers are none when there are no bytes", function()
    local list, status = unpack_all("")
    assert.same({}, list)
    assert.equal(0, status)
  end)

  it("packed headers have the lengths of layout.h: uint32 name, int32 value with -1 for null", function()
    assert.equal("\1\0\0\0\2\0\0\0nvv", pack { { "n", "vv" } })
    assert.equal("\1\0\0\0\255\255\255\255n", pack { { "n" } })
  end)

  it("packed headers cut short at any byte are a failure, and nothing behind is read", function()
    local bytes, whole = pack { { "name", "value" } }, pack { { "before", "x" } }
    for length = 1, #bytes - 1 do
      local list, status = unpack_all(whole .. bytes:sub(1, length))
      assert.equal(1, #list)
      assert.equal(C.TIDE_EDATA, status)
    end
  end)

  it("packed headers with lengths that cannot be are a failure", function()
    for _, lengths in ipairs { "\255\255\255\255\0\0\0\0", "\0\0\0\0\254\255\255\255", "\0\0\0\0\0\0\0\128",
      "\9\0\0\0\0\0\0\0", "\4\0\0\0\5\0\0\0", "\255\255\255\255\255\255\255\127" } do
      local list, status = unpack_all(lengths .. "12345678")
      assert.same({}, list)
      assert.equal(C.TIDE_EDATA, status)
    end
  end)

  it("packed headers of random bytes never lead outside", function()
    math.randomseed(20261122)
    local failed = 0
    for _ = 1, 20000 do
      local words = {}
      for i = 1, math.random(0, 12) do words[i] = string.char(math.random(0, 9) * math.random(0, 1), 0, 0, 0) end
      if math.random() < 0.2 then words[#words + 1] = string.char(math.random(0, 255)):rep(math.random(1, 4)) end
      local _, status = unpack_all(table.concat(words))
      failed = failed + (status < 0 and 1 or 0)
    end
    assert.is_true(failed > 1000 and failed < 19000)
  end)
end)

describe("a message", function()
  local function text(bytes, length) return bytes ~= nil and ffi.string(bytes, length) or nil end

  local function copied(fields)
    local message, copy = ffi.new("struct tide_message", fields), ffi.new "struct tide_message"
    local size = tonumber(C.tide_message_size(message))
    C.tide_message_copy(copy, message, edge - size)
    return copy, size
  end

  it("a message is copied with its bytes, which take as much room as was said", function()
    local value, key, headers = "the value", "k", pack { { "n", "v" } }
    local copy, size = copied {
      value = value, value_length = #value, key = key, key_length = #key,
      headers = headers, headers_length = #headers, offset = 7, partition = 3,
    }
    assert.equal(#value + #key + #headers, size)
    assert.same({ value, key, headers }, { text(copy.value, copy.value_length), text(copy.key, copy.key_length),
      text(copy.headers, copy.headers_length) })
    assert.is_true(copy.value == edge - size and copy.headers + #headers == edge)
    assert.same({ 7, 3 }, { tonumber(copy.offset), copy.partition })
  end)

  it("a message keeps null and empty apart; a null takes no room whatever its length says", function()
    local copy, size = copied { value = nil, value_length = 5, key = "", key_length = 0 }
    assert.equal(0, size)
    assert.is_true(copy.value == nil and copy.headers == nil)
    assert.equal("", text(copy.key, copy.key_length))
  end)
end)

describe("an origin", function()
  it("an origin fits the opaque pointer of a librdkafka message", function()
    assert.equal(8, ffi.sizeof "struct tide_origin")
  end)
end)
