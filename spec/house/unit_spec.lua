-- SPDX-License-Identifier: MIT
-- The systemd unit knows every exit code: a run that ended with it is started again, or it says why not.
local exit_code = require "tidemill.plan.exit_code"
local files = require "spec.house.files"

local UNIT = "packaging/tidemill@.service"

-- What a restart can cure (plan/exit_code.lua).
local CURED = { [exit_code.UNREACHED] = true, [exit_code.INTERNAL] = true, [exit_code.TEMPORARY] = true }

local function codes_of(text, setting)
  local codes = {}
  for code in (text:match("\n" .. setting .. "=([%d ]+)\n") or ""):gmatch "%d+" do codes[tonumber(code)] = true end
  return codes
end

describe("the systemd unit", function()
  it("has relative paths of data start from the one folder that it may write", function()
    local text = files.read(UNIT)
    local folder = text:match "\nStateDirectory=(%S+)\n"
    assert.equal("tidemill/%i", folder)
    assert.is_truthy(text:find("\nWorkingDirectory=%S/" .. folder .. "\n", 1, true))
  end)

  it("names each exit code, and starts again what a restart can cure and nothing else", function()
    local text = files.read(UNIT)
    assert.is_truthy(text:find("\nRestart=on-failure\n", 1, true))
    local prevented, success = codes_of(text, "RestartPreventExitStatus"), codes_of(text, "SuccessExitStatus")
    success[exit_code.OK] = true
    for _, row in ipairs(exit_code.list) do
      for code in tostring(row[1]):gmatch "%d+" do
        assert.is_truthy(text:find("%f[%d]" .. code .. "%f[%D]"), UNIT .. ": says nothing of exit code " .. code)
        local again = not prevented[tonumber(code)] and not success[tonumber(code)]
        assert.equal(CURED[tonumber(code)] or false, again, "exit code " .. code)
      end
    end
  end)
end)
