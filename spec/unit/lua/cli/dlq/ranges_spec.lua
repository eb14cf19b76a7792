-- SPDX-License-Identifier: MIT
-- What is remembered of a partition's dead letters: it has to come back as it was.
local ranges = require "tidemill.cli.dlq.ranges"
local seeds = require "spec.support.seed"

local function set_of(text)
  local seen, processed = {}, {}
  local offset = 100
  for letter in text:gmatch "." do
    if letter ~= " " then seen[#seen + 1] = offset end
    processed[offset] = letter == "x"
    offset = offset + 1
  end
  return seen, function(at) return processed[at] end
end

local function comes_back(seen, is_processed)
  local from, metadata = ranges.encode(seen, is_processed)
  local again = ranges.decode(from, metadata)
  for _, offset in ipairs(seen) do
    if is_processed(offset) ~= again(offset) then error(("offset %d by %d %q"):format(offset, from, metadata)) end
  end
  return from, metadata
end

describe("the dead letters that are processed", function()
  it("the dead letters that are processed are none before anything is remembered", function()
    local processed = ranges.decode(-1, "")
    assert.is_false(processed(0))
  end)

  it("the dead letters that are processed are all before the offset, when they are the first ones", function()
    assert.same({ 103, "" }, { comes_back(set_of "xxx...") })
    assert.same({ 100, "" }, { comes_back(set_of "...") })
    assert.same({ 103, "" }, { comes_back(set_of "xxx") })
    assert.same({ 0, "" }, { comes_back({}, function() end) })
  end)

  it("the dead letters that are processed go with the dead letter before them where there is none (a"
    .. " marker of a transaction)", function()
    assert.same({ 107, "" }, { comes_back(set_of "xx xx x") })
    local from, metadata = comes_back(set_of "x.xx xx .")
    assert.same({ 101, "r1.5" }, { from, metadata })
  end)

  it("the dead letters that are processed come back, stretches and scattered ones, of any shape", function()
    local seed = seeds.draw()
    for round = 1, 300 do
      local parts, most = {}, math.random(1, 400)
      local share, gaps = math.random(), math.random() * 0.5
      for i = 1, most do
        parts[i] = math.random() < gaps and " " or math.random() < share and "x" or "."
        if math.random() < 0.1 then parts[i] = parts[i]:rep(math.random(1, 60)) end
      end
      local done, problem = pcall(comes_back, set_of(table.concat(parts)))
      assert.is_true(done, ("seed %d, round %d: %s"):format(seed, round, tostring(problem)))
    end
  end)

  it("the dead letters that are processed fit into what a broker keeps: every other one of 24,000, and"
    .. " long stretches", function()
    local _, metadata = comes_back(set_of("." .. ("x."):rep(12000)))
    assert.is_true(#metadata <= ranges.MOST, #metadata)
    _, metadata = comes_back(set_of((("."):rep(3000) .. ("x"):rep(3000)):rep(100)))
    assert.is_true(#metadata <= ranges.MOST, #metadata)
  end)
end)
