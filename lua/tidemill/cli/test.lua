-- SPDX-License-Identifier: MIT
-- cli/test.lua: tidemill test [FILES] runs specs with busted.
local exit_code = require("tidemill.plan.exit_code")
local level = require("tidemill.testing.level")
local options = require("tidemill.cli.options")
local stderr = require("tidemill.cli.stderr")

local test = {
  summary = "Run the specs of transforms and pipelines.",
  description = "Run specs with busted: FILES, or folders of *_spec.lua files (default: spec). They use "
    .. 'require "tidemill.testing". Paths start from the current folder; a pipeline or transform that is not there is '
    .. "looked for beside the spec and one folder above it. It is a failure (64) when no test runs. A spec itself is "
    .. "trusted: it runs in this process. What it tests runs in workers, within the trust of its pipeline.",
}

function test.define(command)
  command:argument("files"):args("*"):argname("FILES"):description("Spec files or folders; spec when none is named.")
  options.trust(command)
  command:option("--filter"):argname("PATTERN"):description("Run only specs whose name matches this Lua pattern.")
end

-- Busted forgets after each file what the file required. A second load of ours would declare C types again and take
-- the views of the first for those that are gone: what was loaded once is given back.
local function keep_modules()
  local kept = {}
  table.insert(package.loaders, 2, function(name)
    if name ~= "tidemill" and not name:find("^tidemill%.") then return nil end
    if kept[name] ~= nil then return function() return kept[name] end end
    local path = package.searchpath(name, package.path)
    local chunk = path and assert(loadfile(path))
    return chunk and function(...)
      kept[name] = chunk(...)
      return kept[name]
    end
  end)
  for name, module in pairs(package.loaded) do
    if name:find("^tidemill") then kept[name] = module end
  end
end

-- Counts in `seen` the tests that ran, and the errors other than busted's own remark that there are no files.
local function count(seen)
  package.preload["tidemill.cli.test_count"] = function()
    local busted = require("busted")
    busted.subscribe({ "test", "end" }, function() seen.tests = seen.tests + 1 end)
    busted.subscribe({ "error" }, function(element)
      if element and element.descriptor then seen.errors = seen.errors + 1 end
    end)
    return true
  end
end

-- Busted reads the global `arg`, and ends the program by itself when something failed.
local function run_busted(files, filter, seen)
  local arguments = { [0] = "tidemill test", "--ignore-lua", "--output=plainTerminal",
    "--helper=tidemill.cli.test_count" }
  if filter then arguments[#arguments + 1] = "--filter=" .. filter end
  for _, file in ipairs(files) do arguments[#arguments + 1] = file end
  rawset(_G, "arg", arguments)
  package.path = "./?.lua;./?/init.lua;" .. package.path
  local done = {}
  require("busted.compatibility").exit = function() error(done, 0) end
  count(seen)
  keep_modules()
  local ended, problem = pcall(require("busted.runner"), { standalone = false })
  if not ended and problem ~= done then error(problem, 0) end
  return ended
end

function test.run(parsed)
  if not pcall(require, "busted.compatibility") then
    stderr.failure("test needs busted: install the Debian package lua-busted")
    return exit_code.UNREACHED
  end
  local files = #parsed.files > 0 and parsed.files or { "spec" }
  for _, path in ipairs(files) do
    local file, reason = io.open(path)
    if not file then
      stderr.failure("%s", reason)
      return exit_code.NO_INPUT
    end
    file:close()
  end
  level.trust = parsed.trust
  local seen = { tests = 0, errors = 0 }
  local good = run_busted(files, parsed.filter, seen)
  if seen.tests == 0 and seen.errors == 0 then
    stderr.failure('no test ran: %s; a spec is a file *_spec.lua with describe("...", function() it("...", function() '
      .. "... end) end)", parsed.filter and "--filter " .. parsed.filter .. " matches none" or "none was found")
    return exit_code.USAGE
  end
  return good and exit_code.OK or exit_code.DATA
end

return test
