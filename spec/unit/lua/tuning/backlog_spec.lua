-- SPDX-License-Identifier: MIT
local ffi = require "ffi"
local backlog = require "tidemill.tuning.backlog"
local header_codec = require "tidemill.run.headers"

local path

local function write(text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

local function text_of(message, name)
  return message[name] ~= nil and ffi.string(message[name], message[name .. "_length"]) or nil
end

describe("a backlog", function()
  before_each(function() path = os.tmpname() end)
  after_each(function() os.remove(path) end)

  it("has the lines of a file as values, as many as are wanted", function()
    write "one\n\nthree\nfour\n"
    local loaded = assert(backlog.load(path, "lines", 3))
    assert.equal(3, loaded.count)
    assert.equal(8, loaded.bytes)
    assert.same({ "one", "", "three" }, { text_of(loaded.c[0], "value"), text_of(loaded.c[1], "value"),
      text_of(loaded.c[2], "value") })
    assert.is_nil(text_of(loaded.c[0], "key"))
  end)

  it("has what was recorded: keys, headers, times, and bytes that are not UTF-8", function()
    write('{"topic":"in","key":"k","headers":[{"name":"a","value":"b"}],"value":"v","timestamp":5}\n'
      .. '{"topic":"in","key":null,"headers":[],"value_base64":"/wA="}\n')
    local loaded = assert(backlog.load(path, "json", 10))
    local first, second = loaded.c[0], loaded.c[1]
    assert.same({ "k", "v", 5 }, { text_of(first, "key"), text_of(first, "value"), tonumber(first.timestamp) })
    assert.same({ "a", "b" }, header_codec.read(first.headers, first.headers_length)[1])
    assert.same({ "\255\0" }, { text_of(second, "value"), text_of(second, "key") })
  end)

  it("names the line that is no record, and a file that has nothing", function()
    write '{"value":"x"}\nno record\n'
    local _, reason, code = backlog.load(path, "json", 10)
    assert.same({ 65, true }, { code, reason:find(path .. ":2: no message", 1, true) == 1 })
    write ""
    assert.equal(66, (select(3, backlog.load(path, "lines", 10))))
    assert.equal(66, (select(3, backlog.load(path .. ".none", "lines", 10))))
  end)

  it("has lines of any length up to the largest message, and the last one without its end", function()
    local long = ("0123456789abcdef"):rep(10000)
    write(long .. "\n" .. long .. "x\n\nlast")
    local loaded = assert(backlog.load(path, "lines", 10))
    assert.equal(4, loaded.count)
    for i, text in ipairs { long, long .. "x", "", "last" } do
      assert.is_true(text_of(loaded.c[i - 1], "value") == text, i)
    end
  end)

  it("refuses what has no line ends, before it takes all memory", function()
    local _, reason, code = backlog.load("/dev/zero", "lines", 10)
    assert.same({ "/dev/zero:1: the line is longer than any message may be (64 MiB)", 65 }, { reason, code })
  end)
end)
