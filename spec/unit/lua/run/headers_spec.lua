-- SPDX-License-Identifier: MIT
-- Headers as scripts write them, and in packed form.
local null = require("cjson").null
local headers = require "tidemill.run.headers"
local tide = require "tidemill"

describe("headers", function()
  local function refusal(given)
    local ok, problem = pcall(headers.list, given, 1)
    assert.is_false(ok)
    return problem
  end

  it("headers that are an array stay the same table, which may be called, but not be looped over as such", function()
    local given = { { "a", "1" }, { "a" }, { "b", null } }
    assert.equal(given, headers.list(given, 1))
    assert.equal(given, given {})
    local ok, problem = pcall(function() for _ in given do error "no" end end)
    assert.is_false(ok)
    assert.matches("^spec/unit/lua/run/headers_spec.lua:%d+: message.headers is a list: for i, header", problem)
  end)

  it("headers with a mark of another kind may be called too", function()
    local array, foreign = tide.array { { "a", "1" } }, setmetatable({ { "a", "1" } }, {})
    assert.same({ { "a", "1" } }, headers.list(array, 1) {})
    assert.same({ { "a", "1" } }, headers.list(foreign, 1) {})
    assert.equal("[]", tide.json.encode(headers.list(setmetatable({}, {}), 1)))
  end)

  it("headers by name become an array in the order of the names", function()
    assert.same({ { "a", null }, { "b", "2" }, { "c", "3" } }, headers.list({ c = "3", a = null, b = "2" }, 1))
    assert.same({}, headers.list({}, 1))
  end)

  it("headers that would be lost are refused, with what is wrong", function()
    local named = {}
    named.a, named[1] = "1", { "b", "2" }
    for pattern, given in pairs {
      ['this has the key "a"'] = named, ["this has a gap at 1"] = { [3] = { "a", "1" } },
      ["this has a gap at 2"] = { { "a" }, nil, { "b" } }, ["this is a string"] = "a",
      ["headers%[1%] is not {name, value}"] = { "a", "1" }, ['headers%[1%] has the key "3"'] = { { "a", "1", "2" } },
      ['header "a" takes a string or nil as value, got a number'] = { a = 1 },
      ['header "b" takes a string or nil as value, got a boolean'] = { { "b", false } },
      ['header "c" .* several values of one name'] = { c = { "1", "2" } },
    } do
      assert.matches(pattern, refusal(given))
    end
  end)

  it("headers raise the error at the level that is asked for", function()
    local function user() headers.list(5, 1) end
    local ok, problem = pcall(user)
    assert.is_false(ok)
    assert.matches("^spec/unit/lua/run/headers_spec.lua:%d+: message.headers takes", problem)
  end)

  it("headers come back from their packed form as they were; null is absent then", function()
    local list = { { "a", "1" }, { "", "" }, { "null" }, { "a", ("x"):rep(300) } }
    local bytes = headers.pack(list)
    assert.equal(headers.size(list), #bytes)
    assert.same(list, headers.read(bytes, #bytes))
    assert.same({ { "n" } }, headers.read(headers.pack { { "n", null } }, 9))
    assert.same({}, headers.read("", 0))
  end)

  it("headers that are cut are none", function()
    local bytes = headers.pack { { "name", "value" } }
    for length = 1, #bytes - 1 do assert.is_nil(headers.read(bytes, length)) end
  end)

  it("headers of a name: the last one counts", function()
    local list = { { "a", "1" }, { "b", null }, { "a", "2" } }
    assert.equal("2", headers.last(list, "a"))
    assert.is_nil(headers.last(list, "b"))
    assert.is_nil(headers.last(list, "c"))
  end)

  it("headers that were copied do not change with the others", function()
    local list = { { "a", "1" } }
    local own = headers.copy(list)
    list[1][2] = "2"
    assert.same({ { "a", "1" } }, own)
  end)
end)
