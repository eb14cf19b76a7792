-- SPDX-License-Identifier: MIT
local text = require "tidemill.cli.top.text"
local view = require "tidemill.cli.top.view"

local HOSTILE = "in\27[2J\n\7\226\128\174evil\255\0 \230\157\177\228\186\172 " .. ("x"):rep(300)
local CONTEXT = { address = "127.0.0.1:9464" }

-- A snapshot with everything in it; `text` is what stands where the pipeline's own texts do.
local function snapshot(name, partitions, workers)
  local made = {
    version = 1, name = name, uptime = 3723, state = "reading", ready = true, time = 1790000000000,
    totals = { read = 12345678, produced = 12300000, filtered = 45000, dead_lettered = 12, in_flight = 2678,
      lag = 123456, lag_seconds = 3.21 },
    rates = { read = 123456, produced = 122000.4, filtered = 1200, dead_lettered = 0.5 },
    verdict = { limit = "input_block", step = 1, since = 42, text = "97 of 100 batches were closed by the block. "
      .. name, advice = "Raise input_block_size to 2MiB. " .. name },
    steps = { { number = 1, kind = name, stage = name, processes = 4, batches_in_progress = 3,
      sizes = { max_batch_size = 1000, max_batch_time = 1, input_block_size = 1048576,
        auto = { input_block_size = true } },
      closes = { size = 12.3, block = 3.4 }, overflow = { input = 3.4, output = 0 }, backpressure = 0, workers = {} } },
    partitions = {},
    slow_messages = { { topic = name, partition = 1, offset = 77, seconds = 1.2, age = 12, step = 1 } },
    dead_letters = { total = 12, reasons = { error = 10, [name] = 2 }, last = { { time = 1790000000000, topic = name,
      partition = 3, offset = 123456, stage = name, reason = "error", error = name } } },
  }
  for i = 1, partitions do made.partitions[i] = { topic = name, partition = i, lag = i * 1000, lag_seconds = i / 7 } end
  for i = 1, workers do
    made.steps[1].workers[i] = { slot = i - 1, pid = 4000 + i, state = "running", busy = i / workers, messages = 1e5,
      lost = 0 }
  end
  return made
end

local function shown(status, width, height, context)
  return view.plain(view.lines(status, width, height, context or CONTEXT))
end

local function all(lines) return table.concat(lines, "\n") end

describe("the view of top", function()
  for _, width in ipairs { 40, 80, 120, 200 } do
    it(("has no line wider than %d columns, and no more lines than rows"):format(width), function()
      for _, name in ipairs { "clicks", HOSTILE } do
        for _, height in ipairs { 1, 2, 5, 24, 50, 1000 } do
          local lines = shown(snapshot(name, 40, 30), width, height)
          assert.is_true(#lines <= height, #lines)
          for _, line in ipairs(lines) do
            assert.is_true(text.width(line) <= width, line)
            assert.is_nil(line:find("%c"))
          end
        end
      end
    end)

    it(("shows all that matters at %d columns"):format(width), function()
      local found = all(shown(snapshot("clicks", 2, 4), width, 100))
      for _, part in ipairs { "clicks", "input_block of step 1", "97 of 100", "what to do: Raise", "12,345,678",
        "lag 123,456", "3 of 4 processes", "block 3.4/s", "input 3.4/s", "backpressure", "1 MiB (auto)", "100 %",
        "clicks/2", "dead letters 12", "error 10" } do
        assert.truthy(found:find(part, 1, true), part .. " is missing in\n" .. found)
      end
    end)
  end

  it("shows the revision of the transforms after a reload, what the reload is at, and one that went wrong", function()
    local status = snapshot("clicks", 1, 1)
    status.revision, status.reload = 1, { state = "none" }
    assert.is_nil(all(shown(status, 80, 50)):find "revision")
    status.reload = { state = "canary", canary = { share = 0.05, compared = 1200, differing = 3, rejected = 0 } }
    assert.truthy(all(shown(status, 120, 50)):find(
      "revision 1  reload: canary  5 % of the batches  1,200 compared, 3 differ\n", 1, true))
    status.revision, status.reload = 2, { state = "watching", last = { number = 1, outcome = "done" } }
    assert.truthy(all(shown(status, 80, 50)):find("revision 2  reload: watching\n", 1, true))
    status.revision, status.reload = 1, { state = "none", last = { number = 2, outcome = "rolled_back" } }
    assert.truthy(all(shown(status, 80, 50)):find("revision 1  last reload rolled back\n", 1, true))
  end)

  it("shows of a step that reads times how far its watermark is behind, and how many timers wait", function()
    local status = snapshot("clicks", 1, 1)
    assert.is_nil(all(shown(status, 80, 50)):find "event time")
    status.steps[1].event_time = { watermark_lag = 90, waiting_timers = 1234 }
    local found = all(shown(status, 80, 50))
    assert.truthy(found:find "event time +watermark [%w. ]+ behind the clock +1,234 timers wait\n", found)
  end)

  it("shows control characters and what turns the direction of writing as escapes", function()
    local found = all(shown(snapshot(HOSTILE, 1, 1), 200, 100))
    assert.truthy(found:find("in\\x1b[2J\\n\\x07\\u{202e}evil\\xff\\x00 \230\157\177", 1, true), found)
  end)

  it("sorts partitions by their lag, and says how many there is no room for", function()
    local lines = shown(snapshot("clicks", 100, 2), 80, 40)
    local found = all(lines)
    assert.truthy(found:find("clicks/100 ", 1, true) < found:find("clicks/99 ", 1, true))
    local visible = select(2, found:gsub("clicks/%d+ +%d", ""))
    assert.equal(100 - visible, tonumber(found:match("(%d+) more partitions, for which there is no room")))
    assert.equal(40, #lines)
  end)

  it("says how many lines a low terminal does not show", function()
    assert.truthy(shown(snapshot("clicks", 4, 2), 80, 12)[12]:find("lines more: the terminal is too low", 1, true))
  end)

  it("takes a snapshot in which hardly anything is known", function()
    local found = all(shown({ version = 1 }, 80, 24))
    assert.truthy(found:find("lag not known", 1, true))
  end)

  it("shows an unlimited pipeline as one", function()
    local status = snapshot("clicks", 1, 1)
    status.verdict = { limit = "none", text = "The source has nothing more." }
    assert.truthy(all(shown(status, 80, 50)):find("no limit\nThe source has", 1, true))
  end)

  it("is ASCII for a terminal without UTF-8, and as wide", function()
    local status = snapshot(HOSTILE, 3, 3)
    local plain, ascii = shown(status, 80, 60), shown(status, 80, 60, { address = "a:1", ascii = true })
    assert.equal(#plain, #ascii)
    for _, line in ipairs(ascii) do
      assert.is_nil(line:find("[^ -~]"))
      assert.is_true(#line <= 80)
    end
  end)

  it("has none of the numbers while the pipeline does not answer", function()
    local lines = view.plain(view.gone("connection refused \27[2J", 40, 24, { address = "a:1", name = "x", gone = 12 }))
    local found = all(lines)
    assert.truthy(found:find("has not answered for 12.0\ns; trying again", 1, true), found)
    assert.truthy(found:find("refused \\x1b[2J", 1, true), found)
  end)

  it("says that the numbers are old when the pipeline does not renew them", function()
    local found = all(shown(snapshot("clicks", 1, 1), 80, 50, { address = "a:1", stale = 7 }))
    assert.truthy(found:find("has not renewed these numbers for 7.0 s", 1, true))
  end)
end)

describe("a text for a terminal", function()
  it("is cut between characters, by columns", function()
    assert.equal("\230\157\177…", text.cut("\230\157\177\228\186\172", 3))
    assert.equal("\230\157\177\228\186\172", text.cut("\230\157\177\228\186\172", 4))
    assert.equal("ab…", text.cut("abcd", 3))
  end)

  it("is wrapped between words, and within one that is too long", function()
    assert.same({ "one two", "three", "abcdefgh", "ij k" }, text.wrap("one two three abcdefghij k", 8))
  end)
end)
