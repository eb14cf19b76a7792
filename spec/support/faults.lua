-- SPDX-License-Identifier: MIT
-- The build with fault points (engine/base/fault.h), beside the one that the specs run against: its folder, for
-- TIDE_BUILD or to run its `tidemill`. `make faults` makes it.
local faults = {}

local build = os.getenv 'TIDE_BUILD' or 'build'
faults.folder = build:find '/faults$' and build or build .. '/faults'
faults.library = faults.folder .. '/libtidemill.so'

local file = io.open(faults.library)
if not file then error(faults.library .. ' is missing: run make faults', 0) end
file:close()

return faults
