-- SPDX-License-Identifier: MIT
-- The library for transforms: tide.time, hash, base64, regex, zstd, gzip, msgpack.
local tide = require "tidemill"

local function is_there(use)
  local ok, problem = pcall(use)
  if not ok and tostring(problem):find("install the Debian package", 1, true) then return nil, problem end
  assert(ok, problem)
  return true
end

describe("tide.time", function()
  local time = tide.time

  for text, ns in pairs {
    ["1970-01-01T00:00:00Z"] = 0LL, ["1969-12-31T23:59:59.999999999Z"] = -1LL,
    ["2026-01-31T12:00:00.123456789+01:30"] = 1769855400123456789LL, ["2000-02-29t00:00:00z"] = 951782400000000000LL,
    ["2262-04-11T23:47:16.854775807Z"] = 9223372036854775807LL,
  } do
    it("reads and writes " .. text, function()
      assert.equal(ns, time.parse(text, "ns"))
      assert.equal(ns, time.parse(assert(time.format(ns, "ns")), "ns"))
    end)
  end

  it("has s and ms as numbers, us and ns as int64", function()
    assert.equal("1970-01-01T00:00:01.500Z", time.format(1500))
    assert.equal("1970-01-01T00:00:01Z", time.format(1, "s"))
    assert.equal("number", type(time.now()))
    assert.equal("cdata", type(time.now "ns"))
    assert.is_true(math.abs(time.now "s" - os.time()) <= 1)
    assert.equal(-2, time.convert(-1500, "ms", "s"))
    assert.equal(1500000LL, time.convert(1500, "ms", "us"))
  end)

  it("refuses what is none", function()
    for _, text in ipairs { "", "2026-01-31", "2026-02-29T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:00",
      "2026-01-01T00:00:00.Z", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00+1:00" } do
      assert.is_nil((time.parse(text)))
    end
    assert.has_error(function() time.now "min" end)
  end)
end)

describe("tide.hash", function()
  it("agrees with the published values", function()
    local hash = tide.hash
    assert.equal(0xE3069283, hash.crc32c "123456789")
    assert.equal(0, hash.crc32c "")
    if not is_there(function() hash.sha256 "" end) then return pending "libssl3" end
    assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", hash.sha256 "abc")
    if not is_there(function() hash.xxhash64 "" end) then return pending "libxxhash0" end
    assert.equal("ef46db3751d8e999", hash.hex(hash.xxhash64 ""))
    assert.equal("44bc2cf5ad770999", hash.hex(hash.xxhash64 "abc"))
  end)
end)

describe("tide.base64", function()
  it("agrees with RFC 4648", function()
    local plain = { "", "f", "fo", "foo", "foob", "fooba", "foobar" }
    local encoded = { "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy" }
    for i, text in ipairs(plain) do
      assert.equal(encoded[i], tide.base64.encode(text))
      assert.equal(text, tide.base64.decode(encoded[i]))
      assert.equal((encoded[i]:gsub("=", "")), tide.base64.encode(text, "url"))
    end
    assert.equal("_-8", tide.base64.encode("\255\239", "url"))
    assert.equal("\255\239", tide.base64.decode "_-8")
  end)

  it("refuses what is none", function()
    for _, text in ipairs { "Z", "Zg=", "Z===", "Zh==", "Zm9v=", "Zm 9v", "Zg==Zg==" } do
      local decoded, reason = tide.base64.decode(text)
      assert.is_nil(decoded)
      assert.matches("not base64", reason)
    end
  end)
end)

describe("tide.regex", function()
  local regex = tide.regex
  if not is_there(function() regex.test("", "") end) then
    return pending "libpcre2-8-0"
  end

  it("tests, matches and finds", function()
    assert.is_true(regex.test("card 1234", "\\d{4}"))
    assert.is_false(regex.test("card", "\\d{4}"))
    assert.same({ "a", "1" }, { regex.match("x a=1", "(\\w)=(\\d)") })
    assert.equal("1234", regex.match("card 1234", "\\d+"))
    assert.is_nil(regex.match("card", "\\d+"))
    assert.same({ nil, "b" }, { regex.match("b", "(a)?(b)") })
    assert.same({ 3, 4 }, { regex.find("ab12", "\\d+") })
    assert.is_nil(regex.find("ab12", "b", "", 3))
    assert.is_true(regex.test("ABC", "abc", "i"))
    assert.is_true(regex.test("a\nb", "^b$", "m"))
  end)

  it("replaces, by text or function, empty matches included", function()
    assert.same({ "a[1]b[22]", 2 }, { regex.gsub("a1b22", "\\d+", "[$0]") })
    assert.equal("b=a $", (regex.gsub("a=b", "(\\w)=(\\w)", "$2=$1 $$")))
    assert.equal("x2x4", (regex.gsub("x1x2", "\\d", function(d) return tonumber(d) * 2 .. "" end)))
    assert.equal("x1x", (regex.gsub("x1x2", "[2]", "")))
    assert.equal("-a-b-", (regex.gsub("ab", "", "-")))
    assert.equal("-ä-", (regex.gsub("ä", "", "-", "u")))
    assert.equal("keep", (regex.gsub("keep", "e", function() return nil end)))
  end)

  it("names the byte of a bad pattern and keeps no more than it should", function()
    local ok, problem = pcall(regex.test, "", "a(b")
    assert.is_false(ok)
    assert.matches("at byte 3 of a%(b", problem)
    assert.has_error(function() regex.test("", "", "q") end)
    for i = 1, 2500 do assert.is_true(regex.test("x" .. i, "^x" .. i .. "$")) end
  end)
end)

for _, name in ipairs { "zstd", "gzip" } do
  describe("tide." .. name, function()
    local codec = tide[name]
    if not is_there(function() codec.compress "" end) then
      return pending(name)
    end
    local long = ("The moon moves the tide. "):rep(40000)

    it("gives back what it was given", function()
      for _, text in ipairs { "", "x", long, long:sub(1, 131072), "\0\255" } do
        assert.is_true(text == codec.decompress(codec.compress(text)))
      end
      assert.is_true(#codec.compress(long) < #long / 20)
    end)

    it("refuses what is none, cut, longer than it may be, or more", function()
      local packed = codec.compress(long)
      for _, text in ipairs { "", "not packed", packed:sub(1, -2), packed .. "x" } do
        local text_of, reason = codec.decompress(text)
        assert.is_nil(text_of)
        assert.matches(name, reason)
      end
      assert.is_nil((codec.decompress(packed, 1000)))
      assert.has_error(function() codec.compress(5) end)
    end)
  end)
end

describe("tide.msgpack", function()
  local msgpack = tide.msgpack
  if not is_there(function() msgpack.encode(1) end) then
    return pending "lua-mpack"
  end

  it("gives back what it was given", function()
    local value = { a = { 1, 2.5, -3, "x", true }, b = 2 ^ 53, c = ("y"):rep(70000), [5] = false }
    assert.same(value, msgpack.decode(msgpack.encode(value)))
    assert.equal(msgpack.null, msgpack.decode "\192")
  end)

  it("refuses integers that a double would round, both ways", function()
    assert.has_error(function() msgpack.encode { 2 ^ 54 } end)
    for _, text in ipairs { "\207\0\32\0\0\0\0\0\1", "\129\161a\211\255\0\0\0\0\0\0\0",
      "\207\255\255\255\255\255\255\255\255" } do
      local value, reason = msgpack.decode(text)
      assert.is_nil(value)
      assert.matches("beyond 2%^53", reason)
    end
    assert.equal(2 ^ 53, msgpack.decode "\207\0\32\0\0\0\0\0\0")
    assert.equal(-1, msgpack.decode "\211\255\255\255\255\255\255\255\255")
  end)

  it("refuses what is none", function()
    for _, text in ipairs { "", "\193", "\165ab", "\1\2", "\217" } do
      assert.is_nil((msgpack.decode(text)))
    end
  end)
end)

describe("a library that is not there", function()
  it("is told with its package", function()
    local library = require "tidemill.lib.library"
    local ok, problem = pcall(library.load, "word", "libnotthere.so.9", "libnotthere9", "")
    assert.is_false(ok)
    assert.matches("tide.word needs libnotthere.so.9: install the Debian package libnotthere9", problem)
    ok, problem = pcall(library.require, "word", "not_there", "lua-not-there")
    assert.is_false(ok)
    assert.matches("tide.word needs the Lua module not_there: install the Debian package lua%-not%-there", problem)
  end)
end)
