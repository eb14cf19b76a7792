-- SPDX-License-Identifier: MIT
-- cli/profile/svg.lua: the flame graph is XML, whatever the functions are called.
local svg = require "tidemill.cli.profile.svg"

local ESCAPES = { amp = "&", lt = "<", gt = ">", quot = '"', ["#39"] = "'" }

-- Reads XML strictly, as far as an SVG of ours has it; raises what is not well-formed. Returns the texts of `element`.
local function texts_of(xml, element)
  local texts, open, at = {}, {}, #assert(xml:match("^<%?xml [^>]*%?>")) + 1
  while at <= #xml do
    local text, from = xml:match("^([^<]+)()", at)
    if text then
      for entity in text:gmatch("&([^;]*;?)") do assert(ESCAPES[entity:match("^(.*);$") or ""], "entity " .. entity) end
      assert(not text:find("[%z\1-\8\11\12\14-\31]"), "a control character")
      if open[#open] == element then texts[#texts + 1] = text:gsub("&(#?%w+);", ESCAPES) end
    else
      local close, name, attributes, empty
      close, name, attributes, empty, from = xml:match("^<(/?)(%a+)([^<>]-)(/?)>()", at)
      assert(name, "no tag at " .. xml:sub(at, at + 40))
      if close == "/" then assert(table.remove(open) == name, "closed: " .. name)
      elseif empty == "" then open[#open + 1] = name end
      local rest = attributes:gsub('%s+[%a:]+="[^"<]*"', "")
      assert(rest:match("^%s*$"), "attributes: " .. rest)
    end
    at = from
  end
  assert(#open == 0, "open: " .. table.concat(open, " "))
  return texts
end

local function frame(text) return { text = text, place = text } end

describe("a flame graph", function()
  it("has a title for each frame, with its share", function()
    local stacks = { { count = 3, frames = { frame "a", frame "b" } }, { count = 1, frames = { frame "a" } } }
    local titles = texts_of(svg.draw(stacks, "job"), "title")
    assert.same({ "all samples: 4 samples, 100.0 %", "a: 4 samples, 100.0 %", "b: 3 samples, 75.0 %" }, titles)
  end)

  it("is well-formed with hostile names", function()
    local names = { '<script>alert("x")</script>', "a & b &amp; ]]> <!-- '", "\1\27[0m", "\255\254 \192\128", "größe 名",
      "</g>", ("x"):rep(5000), "%s %d %1", "" }
    local stacks = {}
    for i, name in ipairs(names) do
      stacks[i] = { count = 1, frames = { frame(name), { text = name }, frame(name) } }
    end
    local xml = svg.draw(stacks, names[1])
    local titles = texts_of(xml, "title")
    assert.equal(1 + 3 * #names, #titles)
    local found = {}
    for _, title in ipairs(titles) do found[title:match("^(.*): %d+ samples")] = true end
    for _, name in ipairs { names[1], names[2], names[5], names[6], names[8] } do assert.is_true(found[name], name) end
  end)

  it("leaves out what is too narrow to be seen", function()
    local stacks = { { count = 1000000, frames = { frame "wide" } }, { count = 1, frames = { frame "narrow" } } }
    assert.is_nil(svg.draw(stacks, "x"):find("narrow", 1, true))
  end)

  it("is drawn without samples", function()
    assert.same({}, texts_of(svg.draw({}, "x"), "title"))
  end)

  it("needs nothing from outside", function()
    local xml = svg.draw({ { count = 1, frames = { frame "a" } } }, "x")
    assert.is_nil(xml:gsub('xmlns="[^"]*"', ""):find("http", 1, true))
    assert.is_nil(xml:find("<script", 1, true))
  end)
end)
