-- SPDX-License-Identifier: MIT
-- Mistakes in the code that reads foreign bytes (base/fault.h, docs/torture.md), each with the input by which
-- libFuzzer found it (scripts/fuzz/planted): the target sees the mistake, and nothing without it. `make fuzz
-- PLANTED=1` has libFuzzer find them again.
local faults = require "spec.support.faults"

local PLANTED = {
  { "results", "result_overrun" }, { "headers", "header_overrun" }, { "assignment", "assignment_overrun" },
  { "messages", "profile_overrun" }, { "release", "double_release" }, { "json", "json_overrun" },
  { "http", "path_overrun" }, { "connector", "connect_port" }, { "connector", "question_overrun" },
}

-- True when the target says nothing.
local function passes(target, mistake, armed)
  local command = ("TIDE_FAULTS=%s %s/targets/%s scripts/fuzz/planted/%s.%s >/dev/null 2>&1"):format(armed,
    faults.folder, target, target, mistake)
  return os.execute("ulimit -c 0; " .. command) == 0
end

describe("a mistake that is planted where foreign bytes are read", function()
  for _, one in ipairs(PLANTED) do
    local target, mistake = one[1], one[2]
    it(("a planted mistake is seen by the fuzz target %s: %s"):format(target, mistake), function()
      assert.is_true(passes(target, mistake, "''"))
      assert.is_false(passes(target, mistake, ("bug.%s=1:bug"):format(mistake)))
    end)
  end
end)
