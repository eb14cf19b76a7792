-- SPDX-License-Identifier: MIT
-- The wall clock jumps by a day while a run with state lasts: each message counts once, or is rejected by name.
local cjson = require "cjson"
local faults = require "spec.support.faults"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"

local LINES, KEYS = 3000, 7

describe("a wall clock that jumps", function()
  local folder

  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  local function write(name, text)
    local file = assert(io.open(folder .. "/" .. name, "wb"))
    file:write(text)
    file:close()
  end

  -- Runs `step` over messages of this minute; the results, and the dead letters by their reason.
  local function run(step, fault)
    local pipeline = [[local tide = require "tidemill"
return tide.pipeline "clock" { tide.file_source { path = "in" }, %s, tide.file_sink { path = "out" },
  tide.commit_offsets { policy = { min_messages = 100 } }, dlq = tide.dlq { path = "letters" }, state_dir = "state" }]]
    local _, new_folder = pipeline_file.write "x"
    folder = new_folder
    write("p.lua", pipeline:format(step))
    local list, now = {}, os.time() * 1000
    for i = 1, LINES do list[i] = ('{"k":"k%d","t":%d}\n'):format(i % KEYS, now + i) end
    write("in", table.concat(list))
    local script = 'program=$(realpath "$0") && cd "$1" && exec "$program" run p.lua'
    local code, _, err = process.run({ "/bin/sh", "-c", script, faults.folder .. "/tidemill", folder },
      { env = { TIDE_FAULTS = fault } })
    assert.equal(0, code, err)
    local results, letters = {}, {}
    for line in io.lines(folder .. "/out") do results[#results + 1] = line end
    for line in io.lines(folder .. "/letters") do
      local reason = cjson.decode(line).reason
      letters[reason] = (letters[reason] or 0) + 1
    end
    return results, letters
  end

  local COUNT = [[tide.keyed { function(m, state)
      state.value = (state.value or 0) + 1
      return m.json.k .. " " .. state.value
    end, by = "json:k", state = "counts", processes = 2, max_batch_size = 20 }]]

  for _, way in ipairs { "back", "forward" } do
    it(("changes no count when it goes %s"):format(way), function()
      local results, letters = run(COUNT, ("clock.%s=300:bug"):format(way))
      local highest = {}
      for _, line in ipairs(results) do
        local key, value = line:match "^(%S+) (%d+)$"
        highest[key] = math.max(highest[key] or 0, tonumber(value))
      end
      local sum = 0
      for _, value in pairs(highest) do sum = sum + value end
      assert.same({ LINES, LINES, {} }, { #results, sum, letters })
    end)
  end

  local WINDOW = [[tide.window { size = "100ms", time = "json:t", by = "json:k", emit = "update", max_batch_size = 20,
    add = function(n) return (n or 0) + 1 end }]]

  -- In the five minutes after a start a clock that jumps is believed at once.
  it("rejects what is ahead of it in windows when it goes back, and loses nothing", function()
    local results, letters = run(WINDOW, "clock.back=300:bug")
    assert.is_true(#results > 0)
    assert.same({ rejected = LINES - #results }, letters)
  end)
end)
