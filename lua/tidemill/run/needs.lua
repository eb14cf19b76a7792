-- SPDX-License-Identifier: MIT
-- run/needs.lua: words of the library whose system library cannot be opened here. A file of the user's that names one
-- is refused when it is loaded, by `check` and at start, not at its first message.
local needs = {}

local problems = {} -- word -> why it cannot be used

--- Notes that tide.WORD cannot be used, and why.
function needs.missing(word, problem)
  problems[word] = problem
end

local function first_line(path, word, first, last)
  local file, number = io.open(path, 'r'), 0
  if not file then return nil end
  for line in file:lines() do
    number = number + 1
    if number >= first and number <= last and line:find('%.' .. word .. '%f[^%w_]') then
      file:close()
      return number
    end
  end
  file:close()
end

--- The text for the first word in these lines of a Lua file that cannot be used; nil when there is none.
function needs.problem_in(path, first, last)
  for word, problem in pairs(problems) do
    local line = first_line(path, word, first or 1, last or math.huge)
    if line then return ('%s:%d: %s'):format(path, line, problem) end
  end
end

return needs
