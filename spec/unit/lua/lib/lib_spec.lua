-- SPDX-License-Identifier: MIT
-- The library for transforms: tide.time, hash, base64, regex, zstd, gzip, msgpack.
local ffi = require "ffi"
local tide = require "tidemill"

describe("tide.time", function()
  local time = tide.time

  for text, ns in pairs {
    ["1970-01-01T00:00:00Z"] = 0LL, ["1969-12-31T23:59:59.999999999Z"] = -1LL,
    ["2026-01-31T12:00:00.123456789+01:30"] = 1769855400123456789LL, ["2000-02-29t00:00:00z"] = 951782400000000000LL,
    ["2262-04-11T23:47:16.854775807Z"] = 9223372036854775807LL,
  } do
    it("tide.time reads and writes " .. text, function()
      assert.equal(ns, time.parse(text, "ns"))
      assert.equal(ns, time.parse(assert(time.format(ns, "ns")), "ns"))
    end)
  end

  it("tide.time has s and ms as numbers, us and ns as int64", function()
    assert.equal("1970-01-01T00:00:01.500Z", time.format(1500))
    assert.equal("1970-01-01T00:00:01Z", time.format(1, "s"))
    assert.equal("number", type(time.now()))
    assert.equal("cdata", type(time.now "ns"))
    local before, now = os.time(), time.now "s"
    -- One second more: time(2) reads the clock of the last tick, which may still be in the second before.
    assert.is_true(before <= now and now <= os.time() + 1)
    assert.equal(-2, time.convert(-1500, "ms", "s"))
    assert.equal(1500000LL, time.convert(1500, "ms", "us"))
  end)

  it("tide.time refuses what int64 cannot hold, and no moment before", function()
    for text, unit in pairs { ["9999-12-31T23:59:59Z"] = "ns", ["2262-04-11T23:47:16.854775808Z"] = "ns",
      ["1677-09-21T00:12:43.145224191Z"] = "ns", ["0000-01-01T00:00:00Z"] = "ns" } do
      local moment, reason = time.parse(text, unit)
      assert.is_nil(moment)
      assert.equal("beyond what int64 holds in ns", reason)
      assert.equal("cdata", type(time.parse(text, "us")))
    end
    local least = -0x7fffffffffffffffLL - 1
    assert.equal(least, time.parse("1677-09-21T00:12:43.145224192Z", "ns"))
    assert.equal("1677-09-21T00:12:43.145224192Z", time.format(least, "ns"))
    assert.equal("9999-12-31T23:59:59.000Z", time.format(time.parse "9999-12-31T23:59:59Z"))
    assert.equal(9223372036854000000LL, time.convert(9223372036854LL, "ms", "ns") - 0LL)
    for _, count in ipairs { 9223372036855LL, -9223372036855LL, 1e18, 2 ^ 62 } do
      assert.has_error(function() time.convert(count, "ms", "ns") end)
    end
  end)

  it("tide.time converts fractions of a number, and downwards", function()
    assert.equal(1700000000123, time.convert(1700000000.123, "s", "ms"))
    assert.equal(1500000LL, time.convert(1.5, "s", "us"))
    assert.equal(-1500, time.convert(-1.5, "s", "ms"))
    assert.equal(-2, time.convert(-1500.5, "ms", "s"))
    assert.equal(1, time.convert(1.9, "ms", "ms"))
    assert.equal(9007199254740993LL, time.convert(9007199254740993LL, "us", "us"))
    assert.has_error(function() time.convert(1 / 0, "s", "ms") end,
      "tide.time.convert takes a finite number or an int64, got inf")
  end)

  it("tide.time refuses what is none", function()
    for _, text in ipairs { "", "2026-01-31", "2026-02-29T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:00",
      "2026-01-01T00:00:00.Z", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00+1:00" } do
      assert.is_nil((time.parse(text)))
    end
    assert.has_error(function() time.now "min" end)
  end)
end)

describe("tide.hash", function()
  it("tide.hash agrees with the published values", function()
    local hash = tide.hash
    assert.equal(0xE3069283, hash.crc32c "123456789")
    assert.equal(0, hash.crc32c "")
    assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", hash.sha256 "abc")
    assert.equal("ef46db3751d8e999", hash.hex(hash.xxhash64 ""))
    assert.equal("44bc2cf5ad770999", hash.hex(hash.xxhash64 "abc"))
  end)
end)

describe("tide.base64", function()
  it("tide.base64 agrees with RFC 4648", function()
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

  it("tide.base64 refuses what is none", function()
    for _, text in ipairs { "Z", "Zg=", "Z===", "Zh==", "Zm9v=", "Zm 9v", "Zg==Zg==" } do
      local decoded, reason = tide.base64.decode(text)
      assert.is_nil(decoded)
      assert.matches("not base64", reason)
    end
  end)
end)

describe("tide.regex", function()
  local regex = tide.regex

  it("tide.regex tests, matches and finds", function()
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

  it("tide.regex replaces, by text or function, empty matches included", function()
    assert.same({ "a[1]b[22]", 2 }, { regex.gsub("a1b22", "\\d+", "[$0]") })
    assert.equal("b=a $", (regex.gsub("a=b", "(\\w)=(\\w)", "$2=$1 $$")))
    assert.equal("x2x4", (regex.gsub("x1x2", "\\d", function(d) return tonumber(d) * 2 .. "" end)))
    assert.equal("x1x", (regex.gsub("x1x2", "[2]", "")))
    assert.equal("-a-b-", (regex.gsub("ab", "", "-")))
    assert.equal("-ä-", (regex.gsub("ä", "", "-", "u")))
    assert.equal("keep", (regex.gsub("keep", "e", function() return nil end)))
  end)

  it("tide.regex keeps its matches whatever the function of gsub does", function()
    local function other(match)
      assert.equal("b", match)
      assert.same({ 5, 5 }, { regex.find("zzzzb", "b") })
      assert.equal("-", (regex.gsub("b", "b", function() return "-" end)))
      for i = 1, 1001 do regex.test("", "forgotten" .. i) end -- more patterns than are kept
    end
    assert.same({ "abcabc", 2 }, { regex.gsub("abcabc", "b", other) })
    assert.same({ "a-ca-c", 2 }, { regex.gsub("abcabc", "b", function(match)
      other(match)
      return "-"
    end) })
    assert.equal("a1.5c", (regex.gsub("abc", "b", function() return 1.5 end)))
    assert.has_error(function() local _ = regex.gsub("abc", "b", function() error("mine", 0) end) end, "mine")
    assert.equal("a-c", (regex.gsub("abc", "b", "-")))
  end)

  it("tide.regex goes back over long subjects", function()
    for _, size in ipairs { 1000, 100000, 1000000 } do
      assert.is_true(regex.test(("b"):rep(size), "^(?:[^a]|a)*$"))
      assert.equal(size, select(2, regex.find(("b"):rep(size), "(?:[^a]|a)*")))
    end
  end)

  it("tide.regex knows the letters of Unicode by the flag w", function()
    assert.is_false(regex.test("é", "^\\w$"))
    assert.is_false(regex.test("é", "^\\w$", "u"))
    assert.is_true(regex.test("é", "^\\w$", "w"))
    assert.same({ false, true, true }, { regex.test("É", "é", "i"), regex.test("É", "é", "iu"),
      regex.test("É", "é", "iw") })
    assert.is_true(regex.test("\217\163", "^\\d$", "w")) -- ARABIC-INDIC DIGIT THREE
    assert.equal("-ä-", (regex.gsub("ä", "(*UTF)", "-")))
  end)

  it("tide.regex names the byte of a bad pattern and keeps no more than it should", function()
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

describe("several in one", function()
  it("several gzip members are one text", function()
    local gzip = tide.gzip
    local one, two, empty = gzip.compress "one,", gzip.compress(("two"):rep(100000)), gzip.compress ""
    assert.is_true("one," .. ("two"):rep(100000) .. "one," == gzip.decompress(one .. two .. empty .. one))
    assert.is_nil((gzip.decompress(one .. one, 7)))
    assert.equal("one,one,", gzip.decompress(one .. one, 8))
    for rest, expected in pairs { ["\0\0"] = "more bytes behind its end", [two:sub(1, -2)] = "ends early",
      ["\31\139"] = "ends early", ["\31\139xxxxxxxxxxxxxxxxxx"] = "unknown compression method" } do
      local text, reason = gzip.decompress(one .. rest)
      assert.is_nil(text)
      assert.matches(expected, reason)
    end
  end)

  it("several zstd frames are one text", function()
    local zstd = tide.zstd
    local one, two = zstd.compress "one,", zstd.compress(("two"):rep(100000))
    assert.is_true("one," .. ("two"):rep(100000) .. "one," == zstd.decompress(one .. two .. zstd.compress "" .. one))
    assert.is_nil((zstd.decompress(one .. one, 7)))
    assert.is_nil((zstd.decompress(one .. two:sub(1, -2))))
    assert.is_nil((zstd.decompress(one .. "\0\0")))
  end)
end)

describe("tide.msgpack", function()
  local msgpack = tide.msgpack

  it("tide.msgpack gives back what it was given", function()
    local value = { a = { 1, 2.5, -3, "x", true }, b = 2 ^ 53, c = ("y"):rep(70000), [5] = false }
    assert.same(value, msgpack.decode(msgpack.encode(value)))
    assert.equal(msgpack.null, msgpack.decode "\192")
  end)

  local function bytes(hex)
    return (hex:gsub("%x%x", function(digits) return string.char(tonumber(digits, 16)) end))
  end

  it("tide.msgpack writes what it read as it was", function()
    for _, hex in ipairs {
      "c0", "c2", "c3", "00", "7f", "ff", "e0", "cc80", "cd0100", "ce00010000", "cf0000000100000000",
      "cf0020000000000001", "cfffffffffffffffff", "d0df", "d1ff7f", "d2ffff7fff", "d3ffffffff7fffffff",
      "d38000000000000000", "d3ffdfffffffffffff", "cb3ff8000000000000", "cb7ff0000000000000",
      "cb8000000000000000", "cb4341c37937e08001", "a0", "a161", "80", "90", "8101c0", "81a16180", "81a16190",
      "9190", "9180", "c400", "c40161", "c7000a", "c70305616263", "d4ff00", "d50100ff", "d6ff00000001",
      "d70a" .. ("00"):rep(8), "d8fe" .. ("01"):rep(16), ("91"):rep(100) .. "00", "da0100" .. ("61"):rep(256),
      "c50100" .. ("00"):rep(256), "dc0010" .. ("01"):rep(16) } do
      local value, reason = msgpack.decode(bytes(hex))
      assert.is_nil(reason)
      assert.equal(hex, (msgpack.encode(value):gsub(".", function(c) return ("%02x"):format(c:byte()) end)))
    end
  end)

  it("tide.msgpack reads the same in compiled code, whichever traces there are", function()
    local texts, expected = {}, {}
    for i, hex in ipairs { "c7000a", "c70305616263", "d0df", "d1ff7f", "d2ffff7fff", "d3ffffffff7fffffff", "cc80",
      "cd0100", "ce00010000", "cf0000000100000000", "ca3fc00000", "cb3ff8000000000000", "d90161", "c40161" } do
      texts[i] = bytes(hex)
    end
    local function read(i)
      local value = msgpack.decode(texts[i])
      return type(value) == "table" and (value.type or value.bytes) or value
    end
    jit.off()
    jit.flush()
    for i = 1, #texts do expected[i] = read(i) end
    jit.on()
    for _, hotloop in ipairs { 2, 3, 7, 56 } do
      jit.flush()
      require("jit.opt").start("hotloop=" .. hotloop, "hotexit=2")
      for _ = 1, 100 do
        for i = 1, #texts do assert.equal(expected[i], read(i)) end
      end
      for i = 1, #texts do
        for _ = 1, 100 do assert.equal(expected[i], read(i)) end
      end
    end
    require("jit.opt").start("hotloop=56", "hotexit=10")
  end)

  it("tide.msgpack gives types to what Lua has none for", function()
    local bin, ext = msgpack.decode(bytes "c4026869"), msgpack.decode(bytes "c70305616263")
    assert.same({ "hi", "hi" }, { bin.bytes, tostring(bin) })
    assert.same({ 5, "abc" }, { ext.type, ext.bytes })
    assert.equal(bytes "c4026869", msgpack.encode(msgpack.bin "hi"))
    assert.equal(bytes "d4ff00", msgpack.encode(msgpack.ext(-1, "\0")))
    assert.equal(bytes "8101c3", msgpack.encode(msgpack.map { true }))
    assert.equal(bytes "91c0", msgpack.encode { tide.null })
    assert.equal(9007199254740993ULL, msgpack.decode(bytes "cf0020000000000001"))
    assert.equal(tide.null, msgpack.null)
  end)

  it("tide.msgpack makes Lua's own NaN of each, since LuaJIT tells types apart by the bits of a NaN", function()
    local list = {}
    for i = 0, 4095 do
      local high = 0xFFF00000 + i * 256 + i % 256
      list[#list + 1] = msgpack.decode("\203" .. bytes(("%08x%08x"):format(high, i + 1)))
      list[#list + 1] = msgpack.decode("\202" .. bytes(("%08x"):format(0xFF800001 + i * 1024)))
    end
    assert.equal(8192, #list)
    for _, value in ipairs(list) do
      assert.equal("number", type(value))
      assert.is_true(value ~= value)
    end
    collectgarbage()
    assert.equal(-math.huge, msgpack.decode(bytes "cbfff0000000000000"))
    assert.equal(math.huge, msgpack.decode(bytes "ca7f800000"))
  end)

  it("tide.msgpack refuses what it cannot keep", function()
    local round = {}
    round.round = round
    for problem, value in pairs { ["in a cycle"] = round, ["a function has no"] = { print },
      ["keys other than 1 to n"] = tide.array { 1, nil, 3, x = 1 } } do
      local ok, text = pcall(msgpack.encode, value)
      assert.is_false(ok)
      assert.matches(problem, text)
    end
    for hex, problem in pairs { ["81cf002000000000000100"] = "the key at byte 1 is none",
      ["829000"] = "the key at byte 1",
      ["82010001c0"] = "the key at byte 3 is there twice", [("91"):rep(101) .. "00"] = "nested deeper than 100",
      ["81c4016100"] = "the key at byte 1 is none" } do
      local value, reason = msgpack.decode(bytes(hex))
      assert.is_nil(value)
      assert.matches(problem, reason)
    end
  end)

  it("tide.msgpack refuses what is none", function()
    for _, text in ipairs { "", "\193", "\165ab", "\1\2", "\217", "\221\127\255\255\255", "\223\127\255\255\255\0" } do
      local value, reason = msgpack.decode(text)
      assert.is_nil(value)
      assert.matches("^msgpack: ", reason)
    end
  end)
end)

describe("a library that cannot be opened", function()
  local library = require "tidemill.lib.library"
  local missing_libraries = require "tidemill.run.missing_libraries"

  -- A module whose library ffi.load refuses with this text.
  local function module_refused(refusal)
    local load = ffi.load
    ffi.load = function() error(refusal, 0) end
    local opened = library.load("nothing", "libnotthere.so.9", "libnotthere9", "")
    ffi.load = load
    return opened
  end

  after_each(function() missing_libraries.add("nothing", nil) end)

  it("a library that cannot be opened is told with its package when it is not there", function()
    local opened = library.load("nothing", "libnotthere.so.9", "libnotthere9", "")
    local ok, problem = pcall(function() return opened.any end)
    assert.is_false(ok)
    assert.matches("tide.nothing needs libnotthere.so.9: install the Debian package libnotthere9", problem)
  end)

  it("a library that cannot be opened is not said to be missing when file descriptors are", function()
    local opened = module_refused "libnotthere.so.9: cannot open shared object file: Too many open files"
    local _, problem = pcall(function() return opened.any end)
    assert.matches("cannot open libnotthere.so.9 .*Too many open files", problem)
    assert.is_nil(problem:find("install", 1, true))
  end)

  it("a library that cannot be opened is found in the transform that names it", function()
    module_refused "libnotthere.so.9: cannot open shared object file: No such file or directory"
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write("local nothing = 1\nreturn function(m)\n  return tide.nothing.of(m.value)\nend\n")
    file:close()
    local told, before = missing_libraries.problem_in(path), missing_libraries.problem_in(path, 1, 2)
    os.remove(path)
    assert.matches("^" .. path:gsub("%p", "%%%0") .. ":3: tide.nothing needs libnotthere.so.9", told)
    assert.is_nil(before)
  end)
end)
