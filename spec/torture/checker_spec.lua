-- SPDX-License-Identifier: MIT
-- The checker of scripts/torture finds each kind of fault, and nothing in a good run.
local behaviour = require "scripts.torture.behaviour"
local torture_case = require "spec.support.torture_case"

local COUNT, PARTITIONS = 1000, 3

describe("the checker of the torture", function()
  local case, at

  local dead_letter = torture_case.dead_letter

  local function output(id, piece, offset)
    local partition = behaviour.partition(id, PARTITIONS)
    return { key = behaviour.key(id), value = behaviour.output(id, piece), partition = partition,
      offset = offset, timestamp = 0, headers = { { "seq", tostring(offset) }, { "run", "a.1" } } }
  end

  -- What a good run leaves; at = { id = { list, index } } of the last record of an id.
  before_each(function()
    case, at = torture_case.new(COUNT, PARTITIONS), {}
    for id, input in ipairs(case.input) do
      for piece = 1, behaviour.pieces(id) do
        local list = case[behaviour.topic(id, piece)]
        list[#list + 1] = output(id, piece, input.offset)
        at[id] = { list, #list }
      end
      local reasons = behaviour.REASONS[behaviour.of(id)]
      if reasons then
        table.insert(case.dead_letters, dead_letter(input, (next(reasons))))
        at[id] = { case.dead_letters, #case.dead_letters }
      end
    end
  end)

  local function remove(id)
    return table.remove(at[id][1], at[id][2])
  end

  local function finds(wanted) return torture_case.finds(case, wanted) end

  it("the checker finds nothing in a good run", function()
    assert.same({}, finds({}):failures())
  end)

  for kind, id in pairs { one = 1, crash = 97, hang = 89, error = 83, two = 73, second = 71 } do
    it(("the checker sees that a message of behaviour %s is lost"):format(kind), function()
      assert.equal(kind, behaviour.of(id))
      remove(id)
      assert.same({ "lost" }, finds({ lost = 1 }):failures())
    end)

    it(("the checker sees that a message of behaviour %s comes twice"):format(kind), function()
      local list, index = unpack(at[id])
      table.insert(list, list[index])
      assert.same({ "duplicated" }, finds({ duplicated = 1 }):failures())
    end)
  end

  it("the checker lets a message come twice in at_least_once, after a disturbance", function()
    table.insert(case.output, case.output[1])
    case.mode = "at_least_once"
    assert.same({ "duplicated" }, finds({ duplicated = 1 }):failures())
    case.disturbances = 1
    assert.same({}, finds({ duplicated = 1 }):failures())
    case.strict = true
    assert.same({ "duplicated" }, finds({ duplicated = 1 }):failures())
  end)

  it("the checker sees a filtered message in the output", function()
    case.output[#case.output + 1] = output(79, 1, 26)
    finds { wrong_outcome = 1 }
  end)

  it("the checker sees a message that should have crashed in the output", function()
    case.output[#case.output + 1] = output(97, 1, 32)
    finds { wrong_outcome = 1 }
  end)

  it("the checker sees a crash that is attributed to another message", function()
    remove(1)
    table.insert(case.dead_letters, dead_letter(case.input[1], "crash"))
    finds { misattributed = 1 }
  end)

  it("the checker takes one timeout of another message for each long stop of a worker, and no other reason", function()
    remove(1)
    table.insert(case.dead_letters, dead_letter(case.input[1], "timeout"))
    finds { misattributed = 1 }
    case.long_stops = 1
    assert.same({}, finds({}):failures())
    remove(83)
    table.insert(case.dead_letters, dead_letter(case.input[83], "timeout"))
    finds { wrong_outcome = 1 }
    case.long_stops = 2
    finds {}
    table.insert(case.dead_letters, dead_letter(case.input[2], "crash"))
    case.long_stops = 3
    finds { misattributed = 1 }
  end)

  it("the checker sees that a message has a result and a dead letter for a long stop of its worker", function()
    table.insert(case.dead_letters, dead_letter(case.input[1], "timeout"))
    case.long_stops = 1
    finds { duplicated = 1 }
  end)

  it("the checker sees a dead letter with another reason", function()
    remove(83)
    table.insert(case.dead_letters, dead_letter(case.input[83], "crash"))
    finds { wrong_outcome = 1 }
  end)

  it("the checker sees a wrong partition", function()
    case.output[1].partition = 7
    finds { misplaced = 1 }
  end)

  it("the checker sees a wrong value, key and header", function()
    local changed = case.output
    changed[1].value, changed[2].key, changed[3].headers[1][2] = changed[1].value .. "x", nil, "77"
    finds { wrong_payload = 3 }
  end)

  it("the checker sees a wrong order within a partition", function()
    local first, second = case.output[1], case.output[4]
    assert.equal(first.partition, second.partition)
    case.output[1], case.output[4] = second, first
    finds { wrong_order = 1 }
  end)

  it("the checker sees a message that was never read", function()
    table.insert(case.output, output(COUNT + 2, 1, 5))
    finds { unknown = 1 }
  end)

  it("the checker sees offsets that are not committed", function()
    case.committed[1] = case.committed[1] - 2
    finds { uncommitted = 2 }
  end)
end)
