-- SPDX-License-Identifier: MIT
-- What workers and the zygote send, judged by its bytes alone (proc/received.h).
local ffi = require "ffi"
local C = require("spec.support.headers").declare("proc/received.h")

local GENERATION, WORKERS = 3, 2
local HELLO, REPORT, PIECE, FALSE = C.TIDE_RECEIVED_HELLO, C.TIDE_RECEIVED_REPORT, C.TIDE_RECEIVED_PIECE,
  C.TIDE_RECEIVED_FALSE
local KIND = { hello = HELLO, report = REPORT, piece = PIECE }
local TYPE = { hello = "struct tide_hello", report = "struct tide_job_report", piece = "struct tide_profile_piece" }

local function judge(name, fields, size)
  local message = ffi.new "union tide_received"
  message[name].generation = GENERATION
  for field, value in pairs(fields) do message[name][field] = value end
  return tonumber(C.tide_received_from_worker(message, size or ffi.sizeof(TYPE[name]), GENERATION)), message
end

describe("what a worker sends", function()
  local good = { hello = { { kind = 0 }, { kind = 1 }, { kind = 2 }, { kind = 3 } },
    report = { { status = 0 }, { status = 1, whole_batch = 1, number = 2 ^ 40 } },
    piece = { { size = 1 }, { size = 4084, last = 1 }, { size = 0, last = 1 } } }
  local bad = { hello = { { kind = 4 }, { kind = 2 ^ 32 - 1 }, { generation = 2 }, { generation = 4 } },
    report = { { status = 2 }, { status = 2 ^ 32 - 1 }, { whole_batch = 2 }, { generation = 0 } },
    piece = { { size = 4085 }, { size = 2 ^ 32 - 1 }, { size = 0 }, { size = 1, last = 2 },
      { size = 1, generation = 9 } } }

  it("what a worker sends is known by its size, and taken when its numbers can be true", function()
    for name, list in pairs(good) do
      for _, fields in ipairs(list) do assert.equal(tonumber(KIND[name]), (judge(name, fields))) end
    end
  end)

  it("what a worker sends is refused when one number cannot be true", function()
    for name, list in pairs(bad) do
      for i, fields in ipairs(list) do assert.equal(tonumber(FALSE), (judge(name, fields)), name .. " " .. i) end
    end
  end)

  it("what a worker sends is refused when it has another size, be it shorter, longer or nothing", function()
    for name, list in pairs(good) do
      local size = ffi.sizeof(TYPE[name])
      for _, wrong in ipairs { 0, 1, size - 1, size + 1, 65536, 2 ^ 40 } do
        assert.equal(tonumber(FALSE), (judge(name, list[1], wrong)))
      end
    end
  end)

  it("what a worker sends as a text has an end, whatever it says", function()
    local _, message = judge("hello", { kind = 0, text = ("x"):rep(2040) })
    assert.equal(2039, #ffi.string(message.hello.text))
  end)
end)

describe("what the zygote sends", function()
  local SIZE = ffi.sizeof "struct tide_zygote_event"

  local function is_event(fields, size)
    local event = ffi.new("struct tide_zygote_event", fields)
    return C.tide_received_from_zygote(event, size or SIZE, WORKERS), event
  end

  it("what the zygote sends is an event when size, kind and slot are those of one", function()
    for kind = 0, C.TIDE_ZYGOTE_LOOKUP do assert.is_true((is_event { kind = kind, worker = WORKERS - 1 })) end
    assert.is_false((is_event { kind = C.TIDE_ZYGOTE_LOOKUP + 1 }))
    assert.is_false((is_event { kind = 3, worker = WORKERS }))
    assert.is_false((is_event { kind = 3, worker = 2 ^ 32 - 1 }))
    for _, size in ipairs { 0, 1, SIZE - 1, SIZE + 1, 2 ^ 33 } do assert.is_false((is_event({ kind = 3 }, size))) end
  end)

  it("what the zygote sends as a text has an end, whatever it says", function()
    local _, event = is_event { kind = 2, text = ("x"):rep(2036) }
    assert.equal(2035, #ffi.string(event.text))
  end)
end)
