-- SPDX-License-Identifier: MIT
-- steps/unbatch.lua: takes apart what batch made (Arroyo's UnbatchStep).
return {
  name = "unbatch",
  kind = "task",
  role = "function",
  summary = "unpacks the messages that batch packed into one; offsets are committed once all of them are delivered",
  example = "tide.unbatch {}",
  options = {},
  entries = function() return { { kind = "unbatch" } } end,
}
