-- SPDX-License-Identifier: MIT
local ffi = require "ffi"
local C = require("spec.support.headers").declare("chain/dead_letter.h", "chain/dlq_recent.h")

local recent

before_each(function() recent = ffi.new "struct tide_dlq_recent" end)

local function note(fields, offset, topic)
  local message = ffi.new("struct tide_message", { partition = 3, offset = offset or 7 })
  local reject = ffi.new("struct tide_reject", fields)
  reject.message = message
  C.tide_dlq_recent_note(recent, reject, topic or "in")
end

local function last(field)
  return ffi.string(recent.letters[(tonumber(recent.total) - 1) % C.TIDE_DLQ_RECENT][field])
end

local function counted()
  local list = {}
  for i = 0, C.TIDE_DLQ_REASONS - 1 do
    local count = tonumber(recent.reasons[i])
    if count > 0 then list[ffi.string(C.tide_dlq_recent_reason(i))] = count end
  end
  return list
end

describe("what is shown of dead letters", function()
  it("has where the message came from, and why it is one", function()
    local before = os.time()
    note({ stage = "filter", reason = "crash", error = "it died", cause = "SIGSEGV" }, 2 ^ 40)
    assert.same({ "in", "filter", "crash", "it died (SIGSEGV)" },
      { last "topic", last "stage", last "reason", last "error" })
    local letter = recent.letters[0]
    assert.same({ 3, 2 ^ 40 }, { letter.partition, tonumber(letter.offset) })
    assert.is_true(letter.time_ms >= before * 1000 and letter.time_ms <= os.time() * 1000 + 1000)
  end)

  it("is a count for each reason, and the last ten", function()
    for i = 1, 25 do note({ reason = i % 2 == 0 and "refused" or "error" }, i) end
    assert.same({ refused = 12, error = 13 }, counted())
    local offsets = {}
    for i = 0, C.TIDE_DLQ_RECENT - 1 do offsets[i + 1] = tonumber(recent.letters[i].offset) end
    table.sort(offsets)
    assert.same({ 16, 17, 18, 19, 20, 21, 22, 23, 24, 25 }, offsets)
  end)

  it("counts a reason that a worker made up as other", function()
    for _, reason in ipairs { "", "made up", ("x"):rep(10000), "other" } do note { reason = reason } end
    note {}
    assert.same({ other = 5 }, counted())
    assert.equal("other", last "reason")
  end)

  it("has no text longer than its place, and is cut between characters", function()
    for length = 1, 700 do
      note({ error = ("a"):rep(length % 7) .. ("\226\130\172"):rep(length), stage = ("s"):rep(length),
        cause = ("c"):rep(length) }, 1, ("t"):rep(length))
      local text = last "error"
      assert.is_true(#text < 512 and #last "stage" < 64 and #last "topic" < 256)
      assert.equal("", (text:gsub("\226\130\172", ""):gsub("[ac. ()]", "")))
    end
    assert.equal("...", last("stage"):sub(-3))
  end)

  it("is UTF-8 whatever the message had", function()
    note({ error = "a\255b\226\130" })
    assert.equal("a?b??", last "error")
  end)
end)
