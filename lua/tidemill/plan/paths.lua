-- SPDX-License-Identifier: MIT
-- plan/paths.lua: paths as the kernel sees them, for what is granted to functions (plan/sandbox.lua).
local ffi = require("ffi")
local posix = require("tidemill.run.posix")

local paths = {}

local LONGEST = 4096

--- Returns the absolute path without symbolic links; nil when there is nothing.
function paths.real(path)
  local resolved = ffi.new("char[?]", LONGEST)
  if posix.realpath(path, resolved) == nil then return nil end
  return ffi.string(resolved)
end

--- Returns the names in a folder, in order; nil when the path is no folder, or cannot be read.
function paths.entries(path)
  local folder, names = posix.opendir(path), {}
  if folder == nil then return nil end
  for entry in function() return posix.readdir(folder) end do
    if entry == nil then break end
    local name = ffi.string(entry.name)
    if name ~= "." and name ~= ".." then names[#names + 1] = name end
  end
  posix.closedir(folder)
  table.sort(names)
  return names
end

function paths.is_folder(path)
  local folder = posix.opendir(path)
  if folder ~= nil then posix.closedir(folder) end
  return folder ~= nil
end

--- Returns a path in a folder.
function paths.join(folder, name)
  return folder == "/" and "/" .. name or folder .. "/" .. name
end

--- True when `path` is `folder` or lies in it; both are real paths.
function paths.is_in(folder, path)
  return path == folder or folder == "/" or path:sub(1, #folder + 1) == folder .. "/"
end

return paths
