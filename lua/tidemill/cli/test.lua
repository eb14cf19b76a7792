-- SPDX-License-Identifier: MIT
-- cli/test.lua: tidemill test [FILES]: busted, with tidemill.testing at hand.
local exit_code = require("tidemill.cli.exit_code")
local say = require("tidemill.cli.say")

local test = {
  summary = "Run the specs of transforms and pipelines.",
  description = "Run specs with busted: FILES, or folders of *_spec.lua files (default: spec). They use "
    .. 'require "tidemill.testing". Paths start from the current folder.',
}

function test.define(command)
  command:argument("files"):args("*"):argname("FILES"):description("Spec files or folders; spec when none is named.")
  command:option("--filter"):argname("PATTERN"):description("Only the specs whose name matches this Lua pattern.")
end

-- Busted reads the global `arg` and ends the program by itself.
local function run_busted(files, filter)
  local arguments = { [0] = "tidemill test", "--ignore-lua", "--output=plainTerminal" }
  if filter then arguments[#arguments + 1] = "--filter=" .. filter end
  for _, file in ipairs(files) do arguments[#arguments + 1] = file end
  rawset(_G, "arg", arguments)
  package.path = "./?.lua;./?/init.lua;" .. package.path
  local compatibility = require("busted.compatibility")
  compatibility.exit = function(failed)
    io.stdout:flush()
    os.exit(failed == 0 and exit_code.OK or exit_code.DATA, true)
  end
  require("busted.runner")({ standalone = false })
end

function test.run(parsed)
  if not pcall(require, "busted.compatibility") then
    say.failure("test needs busted: install the Debian package lua-busted")
    return exit_code.UNREACHED
  end
  local files = #parsed.files > 0 and parsed.files or { "spec" }
  for _, path in ipairs(files) do
    local file, reason = io.open(path)
    if not file then
      say.failure("%s", reason)
      return exit_code.NO_INPUT
    end
    file:close()
  end
  run_busted(files, parsed.filter)
  return exit_code.OK
end

return test
