-- SPDX-License-Identifier: MIT
-- What the house specs look at: the project's own files.
local files = {}

--- Paths below `folders` whose name matches one of the shell patterns, sorted.
function files.list(folders, patterns)
  local names = {}
  for i, pattern in ipairs(patterns) do names[i] = "-name '" .. pattern .. "'" end
  local command = ("find %s -type f \\( %s \\) -not -path '*/build/*' -not -path '*/.*' | LC_ALL=C sort"):format(
    table.concat(folders, " "), table.concat(names, " -o "))
  local paths = {}
  local pipe = assert(io.popen(command))
  for path in pipe:lines() do paths[#paths + 1] = path end
  pipe:close()
  return paths
end

function files.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

--- The lines of a file.
function files.lines(path)
  local lines = {}
  for line in io.lines(path) do lines[#lines + 1] = line end
  return lines
end

return files
