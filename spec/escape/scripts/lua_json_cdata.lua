-- SPDX-License-Identifier: MIT
-- It looks for cdata among what a message gives: its JSON, its numbers.
return { stopped_by = { "hardened" }, shown = true, attack = function(t)
  t.message.value = '{"a": {"b": 1}, "big": 9007199254740993}'
  local json = t.message.json
  for _, value in ipairs { json, json.a, json.big, t.message.offset, t.message.timestamp, t.message.partition } do
    if type(value) == "cdata" then return "cdata: " .. tostring(value) end
  end
end }
