-- SPDX-License-Identifier: MIT
-- The files in /dev/shm, where names of shared memory and of semaphores are. What comes and goes there meanwhile is not
-- listed: the folders of whoever works on this machine, the files that hostile scripts of other specs make where
-- nothing stops them (spec/support/canary.lua, token), and those of PostgreSQL, which spec/flow/databases_spec.lua has.
local shared_files = {}

--- The names, as text.
function shared_files.list()
  local pipe = assert(io.popen("find /dev/shm -mindepth 1 -maxdepth 1 -type f -printf '%f\\n' "
    .. "| grep -v -e '^t[0-9a-f]\\{24\\}$' -e '^PostgreSQL\\.' | LC_ALL=C sort"))
  local names = pipe:read "*a"
  pipe:close()
  return names
end

return shared_files
