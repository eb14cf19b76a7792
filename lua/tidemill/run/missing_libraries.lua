-- SPDX-License-Identifier: MIT
-- run/missing_libraries.lua: modules of the library (tide.zstd ...) whose system library cannot be opened on this
-- machine. A user's file that names one of them is refused when it is loaded, by `check` and at start, so that nobody
-- finds out at the first message.
local missing_libraries = {}

local problems = {} -- name of the module -> why it cannot be used

--- Notes that tide.NAME cannot be used, and why.
function missing_libraries.add(name, problem)
  problems[name] = problem
end

-- The first line between `first` and `last` of a file that names the module; nil if none does.
local function line_that_names(path, name, first, last)
  local file, number = io.open(path, "r"), 0
  if not file then return nil end
  for line in file:lines() do
    number = number + 1
    if number >= first and number <= last and line:find("%." .. name .. "%f[^%w_]") then
      file:close()
      return number
    end
  end
  file:close()
end

--- What to say of the lines `first` to `last` (all by default) of a Lua file that name a module which cannot be used;
--- nil when they name none.
function missing_libraries.problem_in(path, first, last)
  for name, problem in pairs(problems) do
    local line = line_that_names(path, name, first or 1, last or math.huge)
    if line then return ("%s:%d: %s"):format(path, line, problem) end
  end
end

return missing_libraries
