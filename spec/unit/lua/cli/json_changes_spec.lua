-- SPDX-License-Identifier: MIT
local json_changes = require "tidemill.cli.json_changes"

local function lines(before, after)
  local list = json_changes.of(before, after)
  if not list then return nil end
  for i, change in ipairs(list) do
    list[i] = ("%s: %s -> %s"):format(change.path, change.before or "", change.after or "")
  end
  return list
end

describe("changes of JSON", function()
  it("are members that are new, gone or different, however deep", function()
    assert.same({ '.a[2].b: 1 -> 2', '.a[3]:  -> null', '["c d"]: "x" -> ' },
      lines('{"a":[0,{"b":1}],"c d":"x"}', '{"a":[0,{"b":2},null]}'))
  end)

  it("are none when only spaces and the order of members differ", function()
    assert.same({}, lines('{"a":1,"b":[]}', '{ "b": [], "a": 1 }'))
  end)

  it("tell a list from an object, and large numbers apart", function()
    assert.same({ ".a: {} -> []", ".n: 12345678901234567890 -> 12345678901234567891" },
      lines('{"a":{},"n":12345678901234567890}', '{"a":[],"n":12345678901234567891}'))
  end)

  it("are unknown where a text is no object or array", function()
    assert.is_nil(lines("5", "{}"))
    assert.is_nil(lines("{", "{}"))
    assert.is_nil(lines("{}", nil))
  end)

  it("are listed up to fifty", function()
    local members = {}
    for i = 1, 60 do members[i] = ('"m%d":%d'):format(i, i) end
    local list, more = json_changes.of("{}", "{" .. table.concat(members, ",") .. "}")
    assert.same({ 50, 10 }, { #list, more })
  end)
end)
