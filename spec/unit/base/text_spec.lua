-- SPDX-License-Identifier: MIT
local ffi = require "ffi"
local cjson = require "cjson"
local C = require("spec.support.headers").declare("base/text.h")

local text

local function taken()
  local bytes = ffi.string(text.data, text.length)
  text.length = 0
  return bytes
end

local function json(bytes)
  C.tide_text_json(text, bytes, bytes and #bytes or 0)
  return taken()
end

local function base64(bytes)
  C.tide_text_base64(text, bytes, bytes and #bytes or 0)
  return taken()
end

-- The table of RFC 3629 section 4, row by row: ranges of the bytes of a well-formed sequence.
local rows = {
  { { 0x00, 0x7F } },
  { { 0xC2, 0xDF }, { 0x80, 0xBF } },
  { { 0xE0, 0xE0 }, { 0xA0, 0xBF }, { 0x80, 0xBF } },
  { { 0xE1, 0xEC }, { 0x80, 0xBF }, { 0x80, 0xBF } },
  { { 0xED, 0xED }, { 0x80, 0x9F }, { 0x80, 0xBF } },
  { { 0xEE, 0xEF }, { 0x80, 0xBF }, { 0x80, 0xBF } },
  { { 0xF0, 0xF0 }, { 0x90, 0xBF }, { 0x80, 0xBF }, { 0x80, 0xBF } },
  { { 0xF1, 0xF3 }, { 0x80, 0xBF }, { 0x80, 0xBF }, { 0x80, 0xBF } },
  { { 0xF4, 0xF4 }, { 0x80, 0x8F }, { 0x80, 0xBF }, { 0x80, 0xBF } },
}

local function fits(row, bytes)
  for i, range in ipairs(row) do
    local byte = bytes:byte(i)
    if not byte or byte < range[1] or byte > range[2] then return false end
  end
  return true
end

local function utf8_length(bytes)
  for _, row in ipairs(rows) do
    if fits(row, bytes) then return #row end
  end
  return 0
end

-- Every byte that begins or ends a range of the table, and its neighbours.
local edges = { 0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE,
  0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF }

describe("a text", function()
  before_each(function() text = ffi.gc(ffi.new("struct tide_text"), C.tide_text_free) end)

  it("a text grows with what is appended and keeps every byte, NUL too", function()
    local want = {}
    for i = 0, 2000 do
      local piece = ("%d\0"):format(i):rep(i % 7)
      C.tide_text_append(text, piece, #piece)
      want[#want + 1] = piece
    end
    assert.equal(table.concat(want), taken())
    assert.is_true(text.capacity >= 1024)
  end)

  it("a text takes a single piece larger than twice what it has", function()
    C.tide_text_string(text, "x")
    local large = ("y"):rep(100000)
    C.tide_text_string(text, large)
    assert.equal("x" .. large, taken())
  end)

  it("a text formats as printf does, at any length", function()
    C.tide_text_format(text, "%s-%d", "abc", ffi.cast("int", 7))
    assert.equal("abc-7", taken())
    for _, length in ipairs { 0, 1, 255, 256, 257, 5000 } do
      C.tide_text_format(text, "%s", ("z"):rep(length))
      assert.equal(("z"):rep(length), taken())
    end
  end)

  it("a text is empty again after free", function()
    C.tide_text_string(text, "x")
    C.tide_text_free(text)
    assert.is_true(text.data == nil and text.length == 0 and text.capacity == 0)
  end)
end)

describe("JSON strings", function()
  before_each(function() text = ffi.gc(ffi.new("struct tide_text"), C.tide_text_free) end)

  it("JSON strings escape as RFC 8259 wants", function()
    assert.equal([["a\"b\\c/"]], json('a"b\\c/'))
    assert.equal([["\b\f\n\r\t"]], json("\b\f\n\r\t"))
    assert.equal([["\u0000\u0001\u001f\u007f"]], json("\0\1\31\127"))
    assert.equal('""', json(""))
    assert.equal('"bfnrt"', json("bfnrt"))
  end)

  it("JSON strings tell null from empty", function()
    assert.equal("null", json(nil))
    assert.equal('""', json(""))
  end)

  it("JSON strings read back as what they were, for every single byte of ASCII", function()
    for byte = 0, 127 do
      local c = string.char(byte)
      assert.equal(c, cjson.decode("[" .. json(c) .. "]")[1])
    end
  end)

  it("JSON strings keep UTF-8 as it is", function()
    for _, word in ipairs { "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x8C\x8A", "\xF4\x8F\xBF\xBF" } do
      assert.equal('"' .. word .. '"', json(word))
    end
  end)

  it("JSON strings put U+FFFD for each byte that is not UTF-8, and never one of those bytes", function()
    assert.equal([["a\ufffdb"]], json("a\xFFb"))
    assert.equal([["\ufffd\ufffd"]], json("\xC0\x80")) -- overlong
    assert.equal([["\ufffd\ufffd\ufffd"]], json("\xED\xA0\x80")) -- surrogate
    assert.equal([["\ufffd\ufffd"]], json("\xE2\x82")) -- cut short
    assert.equal([["\ufffdA"]], json("\xE2A"))
  end)
end)

describe("base64", function()
  before_each(function() text = ffi.gc(ffi.new("struct tide_text"), C.tide_text_free) end)

  it("base64 gives the vectors of RFC 4648", function()
    local vectors = { [""] = "", f = "Zg==", fo = "Zm8=", foo = "Zm9v", foob = "Zm9vYg==", fooba = "Zm9vYmE=",
      foobar = "Zm9vYmFy" }
    for bytes, want in pairs(vectors) do assert.equal('"' .. want .. '"', base64(bytes)) end
  end)

  it("base64 uses all 64 digits, bytes above 127 too", function()
    local bytes = {}
    for i = 0, 63, 4 do
      local bits = i * 2 ^ 18 + (i + 1) * 2 ^ 12 + (i + 2) * 2 ^ 6 + i + 3
      bytes[#bytes + 1] = string.char(math.floor(bits / 65536), math.floor(bits / 256) % 256, bits % 256)
    end
    assert.equal('"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"', base64(table.concat(bytes)))
    assert.equal('"/w=="', base64("\xFF"))
  end)

  it("base64 tells null from empty", function()
    assert.equal("null", base64(nil))
    assert.equal('""', base64(""))
  end)
end)

describe("tide_utf8_length", function()
  it("tide_utf8_length agrees with the table of RFC 3629 on all edges of one to four bytes", function()
    local count = 0
    for _, a in ipairs(edges) do
      for _, b in ipairs(edges) do
        for _, c in ipairs(edges) do
          local bytes = string.char(a, b, c, 0xBF)
          if utf8_length(bytes) ~= tonumber(C.tide_utf8_length(bytes, 4)) then
            error(("%02x %02x %02x bf"):format(a, b, c))
          end
          count = count + 1
        end
      end
    end
    assert.equal((#edges) ^ 3, count)
  end)

  it("tide_utf8_length does not look past the length", function()
    for _, word in ipairs { "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x8C\x8A" } do
      assert.equal(#word, tonumber(C.tide_utf8_length(word, #word)))
      for short = 0, #word - 1 do assert.equal(0, tonumber(C.tide_utf8_length(word, short))) end
    end
  end)
end)
