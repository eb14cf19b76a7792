-- SPDX-License-Identifier: MIT
-- Functions against each other in one process: contenders in turn, so that a slow moment of the machine hits all, and
-- medians. The clock is that of the processor, since others may use the machine as well.
local function median(list)
  table.sort(list)
  return list[math.ceil(#list / 2)]
end

--- contenders: an array of functions, each of which deals with options.messages messages; each is called options.rounds
--- times a run, in options.runs runs after one that warms up. Returns an array of nanoseconds a message.
return function(contenders, options)
  local times = {}
  for i = 1, #contenders do times[i] = {} end
  for run = 0, options.runs do
    for i, contender in ipairs(contenders) do
      collectgarbage()
      local began = os.clock()
      for _ = 1, options.rounds do contender() end
      if run > 0 then times[i][run] = (os.clock() - began) / options.rounds / options.messages * 1e9 end
    end
  end
  for i = 1, #contenders do times[i] = median(times[i]) end
  return times
end
