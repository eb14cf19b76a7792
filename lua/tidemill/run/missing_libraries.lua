-- SPDX-License-Identifier: MIT
-- run/missing_libraries.lua: modules of the library (tide.zstd ...) whose system library cannot be opened on this
-- machine. A user's file that names one of them is refused when it is loaded, by `check` and at start, so that nobody
-- finds out at the first message. Modules whose library is opened late are loaded at that time, before any function of
-- the file runs.
local missing_libraries = {}

local problems = {} -- name of the module -> why it cannot be used
local late = {} -- name of the module -> the name for require

--- Notes that tide.NAME cannot be used, and why.
function missing_libraries.add(name, problem)
  problems[name] = problem
end

--- Notes that tide.NAME is the module `module`, which is loaded when a file names it.
function missing_libraries.add_late(name, module)
  late[name] = module
end

-- The lines of a file, and the names that the table of tidemill has in it: `tide`, and those that it is given where it
-- is required.
local function read(path)
  local file = io.open(path, "r")
  if not file then return {}, {} end
  local lines, names = {}, { tide = true }
  for line in file:lines() do
    lines[#lines + 1] = line
    local name = line:match "([%a_][%w_]*)%s*=%s*require%s*%(?%s*[\"']tidemill[\"']"
    if name then names[name] = true end
  end
  file:close()
  return lines, names
end

local function names_module(line, names, module)
  for name in pairs(names) do
    if line:find("%f[%w_]" .. name .. "%s*%.%s*" .. module .. "%f[^%w_]") then return true end
  end
  return line:find("require%s*%(?%s*[\"']tidemill[\"']%s*%)?%s*%.%s*" .. module .. "%f[^%w_]") ~= nil
end

-- The first line between `first` and `last` of a file that names the module; nil if none does.
local function line_that_names(lines, names, module, first, last)
  for number = math.max(first, 1), math.min(last, #lines) do -- from -1 on where a function is one in C
    if names_module(lines[number], names, module) then return number end
  end
end

--- What to say of the lines `first` to `last` (all by default) of a Lua file that name a module which cannot be used;
--- nil when they name none.
function missing_libraries.problem_in(path, first, last)
  local lines, names = read(path)
  for name, module in pairs(late) do
    if line_that_names(lines, names, name, first or 1, last or math.huge) then require(module) end
  end
  for name, problem in pairs(problems) do
    local line = line_that_names(lines, names, name, first or 1, last or math.huge)
    if line then return ("%s:%d: %s"):format(path, line, problem) end
  end
end

return missing_libraries
