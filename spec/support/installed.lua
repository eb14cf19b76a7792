-- SPDX-License-Identifier: MIT
-- Programs of Debian that specs run beside ours. spec/house/packages_spec.lua finds them here.
local installed = {}

-- Its path, or nil.
local function find(name)
  local pipe = assert(io.popen("command -v " .. name))
  local path = pipe:read("*l")
  pipe:close()
  return path
end

-- Its path, or the command that installs what is missing.
local function path_of(name)
  return find(name) or error(name .. " is missing (scripts/dev/install.sh test)", 0)
end

-- The same of a program that is unpacked and not installed. The path is whole, so that it can be run from any folder.
local function fetched(name)
  local own = assert(io.popen("pwd")):read("*l") .. "/build/prometheus/usr/bin/" .. name
  return find(name) or find(own) or error(name .. " is missing (scripts/dev/prometheus.sh)", 0)
end

function installed.curl() return path_of "curl" end
function installed.redis() return path_of "redis-server" end

--- The folder of PostgreSQL's own programs, which Debian keeps out of PATH.
function installed.postgres()
  path_of "pg_ctlcluster"
  local pipe = assert(io.popen("ls -d /usr/lib/postgresql/*/bin | tail -n 1"))
  local folder = pipe:read("*l")
  pipe:close()
  return folder
end

function installed.protoc() return path_of "protoc" end
function installed.chromium() return path_of "chromium" end
function installed.prometheus() return fetched "prometheus" end
function installed.promtool() return fetched "promtool" end

return installed
