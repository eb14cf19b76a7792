-- SPDX-License-Identifier: MIT
-- What there is in /dev/shm, but for what comes and goes with other specs that run meanwhile: the folders of their
-- brokers, and the files that hostile scripts make where nothing stops them (spec/support/canary.lua, token).
local shared_files = {}

--- The names, as text.
function shared_files.list()
  local pipe = assert(io.popen "ls -A /dev/shm | grep -v -e kafka -e '^t[0-9a-f]\\{24\\}$'")
  local names = pipe:read "*a"
  pipe:close()
  return names
end

return shared_files
