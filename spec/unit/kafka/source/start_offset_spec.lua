-- SPDX-License-Identifier: MIT
-- The rule of source/start_offset.h. A row: what is known of the partition, `start`, auto_offset_reset, and the outcome
-- that is wanted. The partition has the offsets 100 to 199 unless the row says otherwise.
local ffi = require "ffi"
local C = require("spec.support.headers").declare "kafka/source/start_offset.h"

local LATEST_AT, TIME_AT = 200, 150
local STARTS = { none = "NONE", earliest = "EARLIEST", latest = "LATEST", offset = "OFFSET", time = "TIME" }

local function resolve(row)
  local rule = ffi.new("struct tide_start_rule", C["TIDE_START_" .. STARTS[row.start or "none"]], row.start_at or -1,
    C["TIDE_RESET_" .. (row.reset or "error"):upper()])
  local question = ffi.new("struct tide_start_question", { reason = C["TIDE_RESOLVE_" .. (row.reason or "ASSIGNED")],
    committed = row.committed or -1001, position = row.position or -1001, low = row.low or 100,
    high = row.high or LATEST_AT, at_time = row.at_time or -1, added = row.added, was_committed = row.was_committed,
    was_missing = row.was_missing, was_read = row.was_read })
  local answer = ffi.new "struct tide_start_answer"
  return C.tide_start_offset(rule, question, answer), answer
end

-- Each row is tried by an example of its own: its name, the question, then the outcome, the offset and whether that is
-- committed at once; refusals have the offset that they reject.
local function rows(list)
  for _, row in ipairs(list) do
    it(row[1], function()
      local outcome, answer = resolve(row[2])
      assert.equal(tonumber(C["TIDE_START_" .. row[3]]), tonumber(outcome))
      if row[3]:find("^REFUSED") then
        assert.equal(row[4] or -1, tonumber(answer.rejected))
      else
        assert.same({ row[4], row[5] == "commits" }, { tonumber(answer.offset), answer.commit })
      end
    end)
  end
end

describe("a committed offset", function()
  rows {
    { "in range is gone on from", { committed = 150 }, "CONTINUES", 150 },
    { "that is the first offset is in range", { committed = 100 }, "CONTINUES", 100 },
    { "after the last message is in range", { committed = 200 }, "CONTINUES", 200 },
    { "of an empty partition is in range", { committed = 7, low = 7, high = 7 }, "CONTINUES", 7 },
    { "of zero is a committed offset", { committed = 0, low = 0, high = 0, start = "latest" }, "CONTINUES", 0 },
    { "wins over start", { committed = 150, start = "earliest" }, "CONTINUES", 150 },
    { "wins over start = an offset", { committed = 150, start = "offset", start_at = 120 }, "CONTINUES", 150 },
    { "wins in a partition that was added", { committed = 150, added = true, start = "latest" }, "CONTINUES", 150 },
    { "below the range is refused without a rule", { committed = 99 }, "REFUSED_OUT_OF_RANGE", 99 },
    { "above the range is refused without a rule", { committed = 201 }, "REFUSED_OUT_OF_RANGE", 201 },
    { "out of range is refused though start has a rule", { committed = 99, start = "earliest" },
      "REFUSED_OUT_OF_RANGE", 99 },
    { "below the range is reset to earliest", { committed = 99, reset = "earliest" }, "RESET", 100 },
    { "above the range is reset to earliest", { committed = 201, reset = "earliest" }, "RESET", 100 },
    { "below the range is reset to latest", { committed = 99, reset = "latest" }, "RESET", 200, "commits" },
    { "above the range is reset to latest", { committed = 900, reset = "latest" }, "RESET", 200, "commits" },
  }
end)

describe("without a committed offset, a partition", function()
  rows {
    { "needs a rule", {}, "REFUSED_NO_OFFSET" },
    { "begins by start = earliest", { start = "earliest" }, "BEGINS", 100 },
    { "begins by start = latest", { start = "latest" }, "BEGINS", 200, "commits" },
    { "that was added begins with its first message, by start = latest", { start = "latest", added = true },
      "BEGINS", 100, "commits" },
    { "begins by auto_offset_reset = earliest", { reset = "earliest" }, "BEGINS", 100 },
    { "begins by auto_offset_reset = latest", { reset = "latest" }, "BEGINS", 200, "commits" },
    { "that was added begins with its first message, by auto_offset_reset = latest",
      { reset = "latest", added = true }, "BEGINS", 100, "commits" },
    { "begins by start rather than by auto_offset_reset", { start = "earliest", reset = "latest" }, "BEGINS", 100 },
    { "begins at the first message of a time", { start = "time", at_time = TIME_AT }, "BEGINS", 150 },
    { "begins at its end when no message is of that time", { start = "time" }, "BEGINS", 200, "commits" },
    { "begins at an offset", { start = "offset", start_at = 120 }, "BEGINS", 120 },
    { "begins at the offset after its last message", { start = "offset", start_at = 200 }, "BEGINS", 200 },
    { "begins at no offset that it has not", { start = "offset", start_at = 20 }, "REFUSED_OUT_OF_RANGE", 20 },
    { "is reset to earliest from an offset that it has not", { start = "offset", start_at = 20, reset = "earliest" },
      "RESET", 100 },
    { "is reset to latest from an offset that it has not", { start = "offset", start_at = 999, reset = "latest" },
      "RESET", 200, "commits" },
    { "of a recreated topic begins with its first message, by start = latest",
      { start = "latest", was_committed = true }, "BEGINS", 100, "commits" },
    { "of a recreated topic begins by start = earliest", { start = "earliest", was_committed = true }, "BEGINS", 100 },
    { "of a recreated topic needs a rule, too", { was_committed = true }, "REFUSED_NO_OFFSET" },
  }
end)

describe("a partition that is read again after an abort", function()
  rows {
    { "goes on from the committed offset", { reason = "REWOUND", committed = 150, position = 120 }, "CONTINUES", 150 },
    { "goes on from where it began when nothing is committed", { reason = "REWOUND", position = 120,
      start = "latest" }, "CONTINUES", 120 },
    { "that began below its range by now is reset", { reason = "REWOUND", position = 50, reset = "earliest" },
      "RESET", 100 },
    { "that began below its range by now is refused without a rule", { reason = "REWOUND", position = 50 },
      "REFUSED_OUT_OF_RANGE", 50 },
  }
end)

describe("a partition that is misplaced while it is read", function()
  rows {
    { "goes on where it stands when the broker was wrong", { reason = "MISPLACED", position = 150, committed = 120 },
      "CONTINUES", 150 },
    { "is refused out of range without a rule", { reason = "MISPLACED", position = 50, committed = 120 },
      "REFUSED_OUT_OF_RANGE", 50 },
    { "is reset to earliest", { reason = "MISPLACED", position = 50, reset = "earliest", was_read = true },
      "RESET", 100 },
    { "is reset to latest", { reason = "MISPLACED", position = 900, reset = "latest", was_read = true },
      "RESET", 200, "commits" },
    { "goes on when its topic was missing for a moment", { reason = "MISPLACED", position = 150, committed = 120,
      was_missing = true, was_committed = true, was_read = true }, "CONTINUES", 150 },
    { "goes on where it stands when no offset ever was committed", { reason = "MISPLACED", position = 150,
      was_missing = true }, "CONTINUES", 150 },
    { "begins by start when its topic was recreated and nothing was read", { reason = "MISPLACED", position = 150,
      was_missing = true, was_committed = true, start = "latest", low = 0, high = 5 }, "BEGINS", 0, "commits" },
    { "needs a rule when its topic was recreated and nothing was read", { reason = "MISPLACED", position = 150,
      was_missing = true, was_committed = true }, "REFUSED_NO_OFFSET" },
    { "is refused when its topic was recreated and something was read", { reason = "MISPLACED", position = 150,
      was_missing = true, was_read = true, reset = "earliest", start = "earliest" }, "REFUSED_RECREATED" },
    { "is not recreated when nothing is committed and nobody missed it", { reason = "MISPLACED", position = 150,
      was_committed = true, was_read = true }, "CONTINUES", 150 },
  }
end)
