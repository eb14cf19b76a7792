-- SPDX-License-Identifier: MIT
-- lib/beside.lua: reads files that a script names, by paths that start from the folder of the script.
local beside = {}

--- All of a file, or nil and the reason. `info`: debug.getinfo(2, "S") of the function that the script calls.
function beside.read(path, info)
  local folder = info and info.source:match("^@(.*/)")
  if folder and path:sub(1, 1) ~= "/" then path = folder .. path end
  local file, problem = io.open(path, "rb")
  if not file then return nil, problem end
  local text
  text, problem = file:read("*a")
  file:close()
  if not text then return nil, ("%s: %s"):format(path, problem) end
  return text
end

return beside
