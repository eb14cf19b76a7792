-- SPDX-License-Identifier: MIT
-- What the functions under torture do on a message whose id says that it does harm (behaviour.lua): their worker
-- crashes, or hangs. The journal is told before.
local ffi = require "ffi"
local journal = require "journal"

pcall(ffi.cdef, "void abort(void);")
pcall(ffi.cdef, "int poll(void *descriptors, unsigned long count, int ms);")

local harm = {}

local JOURNAL = os.getenv "TORTURE_JOURNAL"
harm.RUN = os.getenv "TORTURE_RUN" -- the life of the engine

-- Each for its share of the ids.
local CRASHES = {
  function() ffi.cast("void (*)(void)", 0)() end, -- not by raise(): the sandbox may refuse it
  function() ffi.cast("int *", 0)[0] = 1 end,
  function() ffi.C.abort() end,
  function() os.exit(3) end,
}
local HANGS = {
  function() ffi.C.poll(nil, 0, -1) end,
  function() ffi.C.poll(nil, 0, -1) end,
  function() while true do end end, -- luacheck: ignore 542
}

local function choose(list, number)
  return list[number % #list + 1]
end

--- Writes an event of this worker, or zygote, into the journal.
function harm.note(event, id)
  journal.write(JOURNAL, harm.RUN, event, nil, id)
end

function harm.crash(id)
  harm.note("crash", id)
  choose(CRASHES, id / 97)()
end

function harm.hang(id)
  harm.note("hang", id)
  choose(HANGS, id / 89)()
end

--- The headers of a message, and the life of the engine as one more.
function harm.with_run(headers)
  local all = {}
  for i, header in ipairs(headers) do all[i] = header end
  all[#all + 1] = { "run", harm.RUN }
  return all
end

return harm
