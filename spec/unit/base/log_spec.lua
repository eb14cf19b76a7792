-- SPDX-License-Identifier: MIT
local ffi = require "ffi"
local cjson = require "cjson"
local C = require("tidemill.run.ffi").C
local child = require "spec.support.child"

-- What `fn` writes to standard error.
local function logged(fn)
  local code, _, text = child.run(fn)
  assert.equal(0, code, text)
  return text
end

describe("the log", function()
  after_each(child.stop_all)

  it("the log shows the level asked for and what is worse", function()
    local text = logged(function()
      C.tide_log_setup(C.TIDE_LOG_WARN, C.TIDE_LOG_TEXT)
      for level, word in pairs { ERROR = "one", WARN = "two", INFO = "three", DEBUG = "four" } do
        C.tide_log_text(C["TIDE_LOG_" .. level], word)
        C.tide_log(C["TIDE_LOG_" .. level], "%s again", word)
      end
    end)
    assert.truthy(text:find("error one\n", 1, true) and text:find("warn two again\n", 1, true))
    assert.falsy(text:find("three", 1, true) or text:find("four", 1, true))
  end)

  it("the log starts at info, as text with the time in UTC", function()
    local before = os.time()
    local text = logged(function()
      C.tide_log_text(C.TIDE_LOG_INFO, "hello")
      C.tide_log_text(C.TIDE_LOG_DEBUG, "not this")
    end)
    local when = text:match("^(%d+%-%d+%-%d+T%d+:%d+:%d+%.%d%d%dZ) info hello\n$")
    assert.truthy(when, text)
    assert.is_true(when >= os.date("!%Y-%m-%dT%H:%M:%S", before))
  end)

  it("the log escapes control bytes and indents what follows a line break, so that a message cannot"
    .. " forge a line", function()
    local text = logged(function()
      C.tide_log_text(C.TIDE_LOG_INFO, "a\n\tb\r\27[31m\127\n2026-01-01T00:00:00Z info c")
    end)
    assert.truthy(text:find("info a\n      b\\x0d\\x1b[31m\\x7f\n    2026-01-01T00:00:00Z info c\n", 1, true), text)
    for line in text:gmatch "[^\n]+" do assert.truthy(line:find "^%d+%-%d+%-%d+T%d" ~= nil or line:find "^    ") end
  end)

  it("the log names the engine of several in each line", function()
    local text = logged(function()
      C.tide_log_text(C.TIDE_LOG_INFO, "before")
      C.tide_log_engine(2)
      C.tide_log_text(C.TIDE_LOG_INFO, "here")
      C.tide_log_setup(C.TIDE_LOG_INFO, C.TIDE_LOG_JSON)
      C.tide_log_fields(C.TIDE_LOG_INFO, "read 5", '"event":"progress"')
    end)
    assert.truthy(text:find("info before\n", 1, true), text)
    assert.truthy(text:find("info engine 2: here\n", 1, true), text)
    local object = cjson.decode(text:match "{[^\n]*}")
    assert.same({ 2, "read 5", "progress" }, { object.engine, object.message, object.event })
  end)

  it("the log gives JSON lines the place that a text begins with, and further fields", function()
    local text = logged(function()
      C.tide_log_setup(C.TIDE_LOG_INFO, C.TIDE_LOG_JSON)
      C.tide_log_text(C.TIDE_LOG_WARN, "my.topic-1/12/345: error: x")
      C.tide_log_text(C.TIDE_LOG_WARN, "a/1: no place; a/1/2 neither")
      C.tide_log_text(C.TIDE_LOG_WARN, 'a"b/1/2: no name of a topic')
      C.tide_log_fields(C.TIDE_LOG_INFO, "read 5", '"event":"progress","read":5')
    end)
    local seen = {}
    for line in text:gmatch "[^\n]+" do
      local object = cjson.decode(line)
      seen[#seen + 1] = { object.topic, object.partition, object.offset, object.event, object.read }
    end
    assert.same({ { "my.topic-1", 12, 345 }, {}, {}, { nil, nil, nil, "progress", 5 } }, seen)
    local plain = logged(function()
      C.tide_log_setup(C.TIDE_LOG_INFO, C.TIDE_LOG_TEXT)
      C.tide_log_fields(C.TIDE_LOG_INFO, "read 5", '"event":"progress","read":5')
    end)
    assert.matches(" info read 5\n$", plain)
  end)

  it("the log writes one JSON object a line when asked to", function()
    local words = { "plain", 'with "quotes"\nand a break', "\255 not UTF-8" }
    local text = logged(function()
      C.tide_log_setup(C.TIDE_LOG_INFO, C.TIDE_LOG_JSON)
      for _, word in ipairs(words) do C.tide_log_text(C.TIDE_LOG_WARN, word) end
    end)
    local seen = {}
    for line in text:gmatch("[^\n]+") do
      local object = cjson.decode(line)
      assert.equal("warn", object.level)
      assert.truthy(object.time:match("^%d+%-%d%d%-%d%dT"))
      seen[#seen + 1] = object.message
    end
    assert.same({ words[1], words[2], "\xEF\xBF\xBD not UTF-8" }, seen)
  end)

  it("the log cuts what is formatted at 2 KiB", function()
    local text = logged(function() C.tide_log(C.TIDE_LOG_INFO, "%s", ("x"):rep(5000)) end)
    assert.equal(2047, #text:match("x+"))
  end)

  it("the log writes a line with one call, so that lines of several processes do not mix", function()
    local text = logged(function()
      local writers = {}
      for i = 1, 4 do
        writers[i] = ffi.C.fork()
        if writers[i] == 0 then
          for _ = 1, 200 do C.tide_log_text(C.TIDE_LOG_INFO, (tostring(i)):rep(300)) end
          ffi.C._exit(0)
        end
      end
      for _, pid in ipairs(writers) do ffi.C.waitpid(pid, nil, 0) end
    end)
    local lines = 0
    for line in text:gmatch("[^\n]+") do
      local word = line:match("info (%d+)$")
      assert.equal(word:sub(1, 1):rep(300), word)
      lines = lines + 1
    end
    assert.equal(800, lines)
  end)
end)
