-- SPDX-License-Identifier: MIT
-- A command line in this process, which is quicker than a process of its own: for commands that run no engine.
local cli = require "tidemill.cli"

local command_line = {}

local function redirect(stdout, stderr)
  rawset(io, "stdout", stdout)
  rawset(io, "stderr", stderr)
end

--- Exit code, stdout and stderr of `tidemill ...`.
function command_line.run(...)
  local out, err = {}, {}
  local real = { stdout = io.stdout, stderr = io.stderr }
  local function catch(into)
    return { write = function(_, ...) for _, text in ipairs { ... } do into[#into + 1] = text end return true end,
      flush = function() return true end }
  end
  redirect(catch(out), catch(err))
  local done, code = pcall(cli.main, { [0] = "tidemill", ... })
  redirect(real.stdout, real.stderr)
  assert(done, code)
  return code, table.concat(out), table.concat(err)
end

return command_line
