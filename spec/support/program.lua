-- SPDX-License-Identifier: MIT
-- The program that specs run: that of the build which TIDE_BUILD names.
local program = {}

program.build = os.getenv("TIDE_BUILD") or "build"

--- Whole, so that it can be run from any folder.
program.path = assert(io.popen("pwd")):read("*l") .. "/" .. program.build .. "/tidemill"

return program
