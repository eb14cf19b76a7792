-- SPDX-License-Identifier: MIT
-- Programs of Debian that specs run beside ours. spec/house/packages_spec.lua finds them here.
local installed = {}

-- Its path, or the command that installs what is missing.
local function path_of(name)
  local path = assert(io.popen("command -v " .. name)):read("*l")
  return path or error(name .. " is missing (scripts/dev/install.sh test)", 0)
end

function installed.chromium() return path_of "chromium" end
function installed.prometheus() return path_of "prometheus" end
function installed.promtool() return path_of "promtool" end

return installed
