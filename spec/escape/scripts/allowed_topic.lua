-- SPDX-License-Identifier: MIT
-- It sends its result to a topic of Kafka's own.
return { stopped_by = { "full", "standard", "hardened" }, result = true, attack = function()
  return { value = "x", topic = "__consumer_offsets" }
end }
