-- SPDX-License-Identifier: MIT
-- run/closed_files.lua: modules that are there and that the sandbox does not let a function read. `require` would only
-- say that it has not found them.
local posix = require("tidemill.run.posix")

local closed_files = {}

local EXISTS = 0

local function is_closed(path)
  if posix.access(path, EXISTS) ~= 0 then return false end
  local file = io.open(path, "rb")
  if file then file:close() end
  return file == nil
end

--- A further line for the error about a module that was looked for by `templates` ("a/?.lua;b/?.lua"); "" when there is
--- none to say.
function closed_files.about(name, templates)
  local inner = name:gsub("%.", "/"):gsub("%%", "%%%%")
  for template in templates:gmatch("[^;]+") do
    local path = template:gsub("%?", inner)
    if is_closed(path) then
      return ("\n\t'%s' is there and may not be read: name its folder in the pipeline's files = { read = ... }")
        :format(path)
    end
  end
  return ""
end

return closed_files
