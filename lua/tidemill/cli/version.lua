-- SPDX-License-Identifier: MIT
-- cli/version.lua: tidemill version
local ffi = require("ffi")
local exit_code = require("tidemill.plan.exit_code")

local version = { summary = "Show the versions of tidemill, librdkafka and LuaJIT." }

function version.define() end

function version.text()
  local C = require("tidemill.run.ffi").C
  return ("tidemill %s (librdkafka %s, %s)"):format(ffi.string(C.tide_version()),
    ffi.string(C.tide_rdkafka_version()), jit.version)
end

function version.run()
  io.stdout:write(version.text(), "\n")
  return exit_code.OK
end

return version
