-- SPDX-License-Identifier: MIT
-- cli/in_place.lua: begins the program anew in the process that it is in, with the same arguments and environment: to a
-- service manager it goes on. What was open is closed by the kernel (everything here is opened with O_CLOEXEC).
local ffi = require("ffi")
local posix = require("tidemill.run.posix")
local text_file = require("tidemill.plan.text_file")

local in_place = {}

-- The path of this program, or of one that has taken its place.
local function own_path()
  local bytes = ffi.new("char[4096]")
  local length = tonumber(posix.readlink("/proc/self/exe", bytes, 4096))
  return length > 0 and (ffi.string(bytes, length):gsub(" %(deleted%)$", "")) or nil
end

--- Returns only when it cannot: the reason.
function in_place.begin()
  local path, line = own_path(), text_file.read("/proc/self/cmdline")
  if not path or not line then return "/proc does not tell which program this is" end
  local texts = {}
  for text in line:gmatch("([^%z]*)%z") do texts[#texts + 1] = text end
  local arguments = ffi.new("const char *[?]", #texts + 1, texts)
  arguments[#texts] = nil -- LuaJIT leaves what a table does not fill
  io.stdout:flush()
  posix.execv(path, ffi.cast("char *const *", arguments))
  return ("%s cannot be run (errno %d)"):format(path, ffi.errno())
end

return in_place
