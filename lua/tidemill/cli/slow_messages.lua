-- SPDX-License-Identifier: MIT
-- cli/slow_messages.lua: the line that the log of a run has at its end about the slowest messages of the last minute.
local slow_messages = {}

local WORTH = 0.05 -- seconds: a message that took less is not told of, since the machine may have been busy
local MOST = 5

-- "in/0/17 0.251 s (step 2)". Functions of a whole batch have no time of one message.
local function text_of(slow, several_steps)
  local what = slow.messages and ("the %d messages from %s/%d/%d on"):format(slow.messages, slow.topic, slow.partition,
    slow.offset) or ("%s/%d/%d"):format(slow.topic, slow.partition, slow.offset)
  return ("%s %.3f s%s"):format(what, slow.seconds, several_steps and (" (step %d)"):format(slow.step) or "")
end

--- The text for a list as of a snapshot, and the fields of a JSON line; nil when no message was slow.
function slow_messages.text(list, steps)
  local parts = {}
  for _, slow in ipairs(list) do
    if slow.seconds >= WORTH and #parts < MOST then parts[#parts + 1] = text_of(slow, steps > 1) end
  end
  if not parts[1] then return nil end
  local first = list[1]
  return "slowest messages of the last minute (topic/partition/offset): " .. table.concat(parts, ", "),
    { topic = first.topic, partition = first.partition, offset = first.offset, seconds = first.seconds }
end

return slow_messages
