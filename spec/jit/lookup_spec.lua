-- SPDX-License-Identifier: MIT
-- Reads of lookup tables compile into the worker's loop.
local block = require "spec.support.block"
local lookup = require "spec.support.lookup"
local vmdef = require "jit.vmdef"

local COUNT = 3000

describe("the loop with a lookup table", function()
  before_each(lookup.begin)
  after_each(lookup.finish)

  -- Runs `fn` over the numbers from 1 on: the reasons for which traces were given up, how many were compiled, and the
  -- results.
  local function traced(fn)
    local values, aborts, traces = {}, {}, 0
    for i = 1, COUNT do values[i] = tostring(i) end
    local input, loop = block.new(values), block.loop(fn)
    input:run(loop) -- the functions of the rows' shapes are made, which LuaJIT does not compile
    jit.flush()
    jit.opt.start("maxmcode=8192", "sizemcode=256", "maxtrace=4000", "maxrecord=16000", "maxirconst=4000")
    local function on_trace(what, _, _, _, other, extra)
      if what == "stop" then traces = traces + 1 end
      if what == "abort" then
        local reason = type(other) == "number" and vmdef.traceerr[other] or tostring(other)
        aborts[#aborts + 1] = reason:gsub("%%[sd]", tostring(extra))
      end
    end
    jit.attach(on_trace, "trace")
    for _ = 1, 20 do input:run(loop) end
    jit.attach(on_trace)
    for i = #aborts, 1, -1 do
      if not aborts[i]:find "NYI" or aborts[i]:find "return to lower frame" then table.remove(aborts, i) end
    end
    return aborts, traces, input:values()
  end

  it("compiles whole, for strings and numbers, found and not, by one key and by two", function()
    local csv, json = { "id,name,empty" }, {}
    for i = 1, COUNT, 2 do
      csv[#csv + 1] = ("%d,name %d,"):format(i, i)
      json[#json + 1] = ('{"id":%d,"n":%d,"kind":"k","ok":true,"none":null}'):format(i, i * 2)
    end
    local users = lookup.of("csv", table.concat(csv, "\n"))
    local prices = lookup.of("jsonl", table.concat(json, "\n"), { by = { "kind", "id" } })
    local aborts, traces, values = traced(function(message)
      local user, price = users[message.value], prices("k", message.value)
      if not user then return "none" end
      return user.name .. user.empty .. (price.ok and price.n or 0)
    end)
    assert.same({}, aborts)
    assert.is_true(traces >= 1)
    for i = 1, COUNT do assert.equal(i % 2 == 0 and "none" or ("name %d%d"):format(i, i * 2), values[i]) end
  end)
end)
