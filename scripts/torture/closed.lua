-- SPDX-License-Identifier: MIT
-- What runs behind tide.window under torture, in the same workers: results and late messages say which life of an
-- engine has sent them, and the journal is told of workers, as transform.lua does.
local harm = require "harm"

local function process(message)
  message.headers = harm.with_run(message.headers)
  return message
end

return { init = function() harm.note("zygote") end, start = function() harm.note("start") end, process = process }
