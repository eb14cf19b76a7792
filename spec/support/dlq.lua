-- SPDX-License-Identifier: MIT
-- `tidemill dlq`, for specs of dead letters.
local process = require "spec.support.process"

local PROGRAM = require("spec.support.program").path

local dlq = {}

--- Runs `tidemill dlq ...`; returns its exit code, standard output and standard error.
function dlq.run(...)
  return process.run { PROGRAM, "dlq", ... }
end

--- The lines of a text, without those that are empty.
function dlq.lines(text)
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

return dlq
