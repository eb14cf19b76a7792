-- SPDX-License-Identifier: MIT
-- That the benchmark would notice a contender whose output is wrong, and what it writes of its figures.
local contenders = require "scripts.bench.contenders"
local inputs = require "scripts.bench.inputs"
local plot = require "scripts.bench.plot"
local scaling_report = require "scripts.bench.scaling_report"

local function contender_of(name)
  for _, contender in ipairs(contenders) do
    if contender.name == name then return contender end
  end
end

local lines

-- What a contender makes of event `id`, which is no debug event.
local function transformed(line)
  return (line:gsub('"value":([%d.]+)', function(value) return '"v":' .. value * 2 end):gsub("}$", ',"seen":true}'))
end

describe("the check of a sample", function()
  setup(function()
    lines = {}
    local pipe = assert(io.popen "luajit scripts/bench/make_events.lua 60 2>/dev/null")
    for line in pipe:lines() do lines[#lines + 1] = line end
    pipe:close()
  end)

  local function wrong_of(name, change)
    local values = {}
    for id, line in ipairs(lines) do
      if not line:find '"debug"' then values[id] = name == "bare" and line or transformed(line) end
    end
    change(values)
    local compared, wrong = inputs.check { { contender = contender_of(name), values = values } }
    assert.is_true(compared[name] > 30)
    return wrong[name]
  end

  local function first(values)
    local id = next(values)
    return id, values[id]
  end

  it("takes a right one, whatever the order of the members is", function()
    assert.is_nil(wrong_of("view-2", function() end))
    assert.is_nil(wrong_of("bare", function() end))
    assert.is_nil(wrong_of("view-2", function(values)
      local id, value = first(values)
      values[id] = '{"seen":true,' .. value:match "^{(.*),\"seen\":true}$" .. "}"
    end))
  end)

  it("finds a value that is not doubled, a member too many and one too few, a digit that is lost", function()
    for _, change in ipairs { { '"v":[%d.]+', '"v":1.5' }, { '"seen":true', '"seen":true,"more":1' },
      { ',"seen":true', "" }, { '("trace":%d+)%d', "%10" } } do
      local words = wrong_of("view-2", function(values)
        for id, value in pairs(values) do values[id] = value:gsub(change[1], change[2]) end
      end)
      assert.matches("view%-2 makes", words)
    end
  end)

  it("finds a byte that a copy has changed, and a debug event that was kept", function()
    assert.matches("bare makes", wrong_of("bare", function(values)
      local id, value = first(values)
      values[id] = value .. " "
    end))
    assert.matches("view%-2 makes", wrong_of("view-2", function(values)
      for id, line in ipairs(lines) do
        if line:find '"debug"' then values[id] = transformed(line) end
      end
    end))
  end)

  it("takes 14 digits of 19 only from a library that is known for it", function()
    local function shorten(values)
      for id, value in pairs(values) do values[id] = value:gsub('"trace":(%d)(%d%d%d)%d+', '"trace":%1.%2e+18') end
    end
    assert.is_nil(wrong_of("cjson-2", shorten))
    assert.matches("view%-2 makes", wrong_of("view-2", shorten))
  end)
end)

describe("the documents of the benchmark", function()
  local function spread(value) return { median = value, low = value * 0.9, high = value * 1.1 } end

  it("have a picture with a bar for each contender and quantity, the same for the same figures", function()
    local function draw()
      local rows = { { title = "a <b>", kind = "own", rate = spread(700000), cpu = spread(1) },
        { title = "c", kind = "peer", rate = spread(8000), cpu = spread(150) } }
      local function show(value) return ("%g"):format(value) end
      return plot.bars(rows, { { name = "rate", title = "rate", show = show },
        { name = "cpu", title = "cpu", show = show, logarithmic = true } }, { { "own", "#00f", "ours" },
        { "peer", "#f00", "others" } }, "a note")
    end
    local svg = draw()
    assert.equal(svg, draw())
    assert.equal(4, select(2, svg:gsub('<rect x="%d+" y="%d+" width="[%d.]+" height="15"', "")))
    assert.truthy(svg:find("a &lt;b&gt;", 1, true))
    assert.is_nil(svg:find "nan" or svg:find "inf")
  end)

  it("have a table for each part of scaling that was run", function()
    local text = scaling_report { sleeps = { { workers = 64, rate = spread(60000), of_one = 0.95, of_plain = 0.94 } },
      large = { { title = "memcpy", gigabytes = spread(9), of_memcpy = 1 } } }
    assert.truthy(text:find("| 64 | 60,000 | 0.950 | 0.940 |", 1, true))
    assert.truthy(text:find("| memcpy | 9.00 | 1.00 |", 1, true))
    assert.is_nil(text:find("partitions", 1, true))
  end)
end)
