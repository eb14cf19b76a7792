-- SPDX-License-Identifier: MIT
-- The build with fault points (engine/base/fault.h), beside the one that the specs run against: its folder, for
-- TIDE_BUILD or to run its `tidemill`. `make faults` makes it.
local ffi = require 'ffi'

local faults = {}

local build = require('spec.support.program').build
faults.folder = build:find '/faults$' and build or build .. '/faults'
faults.library = faults.folder .. '/libtidemill.so'

local file = io.open(faults.library)
if not file then error(faults.library .. ' is missing: run make faults', 0) end
file:close()

--- Has this process load that library in place of the other: before anything else requires tidemill.run.ffi.
--- Returns the library and arm(text), which raises what cannot be read.
function faults.use()
  assert(not package.loaded['tidemill.run.ffi'], 'another library is loaded already')
  ffi.cdef 'int setenv(const char *name, const char *value, int replace);'
  ffi.C.setenv('TIDE_BUILD', faults.folder, 1)
  local library = require 'tidemill.run.ffi'
  return library.C, function(text)
    if library.C.tide_fault_arm(text) < 0 then error(library.error(), 2) end
  end
end

return faults
