-- SPDX-License-Identifier: MIT
-- cli/init.lua: the command line. The program (engine/main.c) calls main(argv) and exits with what it returns.
local argparse = require("argparse")
local exit_code = require("tidemill.plan.exit_code")
local nearest = require("tidemill.plan.nearest")
local stderr = require("tidemill.cli.stderr")
local posix = require("tidemill.run.posix")

local cli = {}

--- In the order of the help.
cli.commands = { "run", "check", "plan", "test", "try", "tune", "profile", "doctor", "new", "record", "top", "tap",
  "reload", "state", "dlq", "metrics", "help", "completion", "version" }

-- What ends the parsing early: argparse would exit, we unwind to main.
local Stop = {}

local function stop(code, out, err)
  error(setmetatable({ code = code, out = out, err = err }, Stop), 0)
end

local function flags_of(parser)
  local flags = {}
  for flag in parser:get_usage():gmatch("%-%-[%w-]+") do flags[#flags + 1] = flag end
  return flags
end

-- In place of argparse's own, which exits.
local function add_help(parser)
  parser:add_help(false)
  parser:flag("-h --help"):description("Show this help and exit."):action(function()
    stop(exit_code.OK, parser:get_help() .. "\n")
  end)
  parser.error = function(self, text)
    local option = text:match("^unknown option '([^'\n]+)'$")
    if option then text = text .. nearest.hint(option, flags_of(self)) end
    local shown = text == "a command is required" and self:get_help() or self:get_usage()
    stop(exit_code.USAGE, nil, shown .. "\n\ntidemill: " .. text)
  end
end

--- The parser with all commands, and the commands by name.
function cli.parser()
  local parser = argparse("tidemill", "A stream processor: Kafka in, Lua functions in forked workers, Kafka out.")
  parser:command_target("command"):require_command(true)
  parser:epilog("`tidemill help COMMAND` and `tidemill help STEP` (a step or setting of the pipeline file) tell more.")
  parser:help_max_width(100):usage_max_width(100)
  add_help(parser)
  parser:flag("--version"):description("Show the version and exit."):action(function()
    stop(exit_code.OK, require("tidemill.cli.version").text() .. "\n")
  end)
  local commands = {}
  for _, name in ipairs(cli.commands) do
    local module = require("tidemill.cli." .. name)
    local command = parser:command(name):summary(module.summary):description(module.description or module.summary)
    add_help(command)
    local actions = module.define(command, add_help)
    commands[name] = { run = module.run, command = command, summary = module.summary, actions = actions }
  end
  return parser, commands
end

-- No flag begins with a digit: "--offset -5" is a flag and its value, which argparse takes only as "--offset=-5".
local function arguments_of(argv)
  local arguments = {}
  for i = 1, #argv do
    local last = arguments[#arguments]
    if argv[i]:find("^%-%d") and last and last:find("^%-%-[%w-]+$") then
      arguments[#arguments] = last .. "=" .. argv[i]
    else
      arguments[#arguments + 1] = argv[i]
    end
  end
  return arguments
end

local function dispatch(argv)
  local parser, commands = cli.parser()
  local arguments = arguments_of(argv)
  local parsed = parser:parse(arguments)
  return commands[parsed.command].run(parsed, { parser = parser, commands = commands, order = cli.commands })
end

local function with_traceback(failure)
  if getmetatable(failure) == Stop then return failure end
  return debug.traceback(tostring(failure), 2)
end

local function run(argv)
  local done, result = xpcall(dispatch, with_traceback, argv)
  if done then return result end
  if getmetatable(result) ~= Stop then
    stderr.failure("internal error, please report it: %s", result)
    return exit_code.INTERNAL
  end
  if result.out then io.stdout:write(result.out) end
  if result.err then stderr.line(result.err) end
  return result.code
end

--- argv[1..]: the arguments. Returns the exit code. What was to be written to standard output and could not be makes a
--- failure of a success; a reader that left (head) has what it wanted.
function cli.main(argv)
  local code = run(argv)
  local flushed, reason = io.stdout:flush()
  local failed = io.type(io.stdout) == "file" and posix.ferror(io.stdout) ~= 0 or flushed == nil
  if not failed or code ~= exit_code.OK or reason == "Broken pipe" then return code end
  stderr.failure("standard output: %s", reason or "cannot be written")
  return exit_code.TEMPORARY
end

return cli
