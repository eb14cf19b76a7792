-- SPDX-License-Identifier: MIT
-- cli/init.lua: the command line. The program (engine/main.c) calls main(argv) and exits with what it returns.
local argparse = require("argparse")
local exit_code = require("tidemill.cli.exit_code")
local nearest = require("tidemill.plan.nearest")
local say = require("tidemill.cli.say")

local cli = {}

--- In the order of the help.
cli.verbs = { "run", "check", "plan", "test", "new", "record", "dlq", "help", "completion", "version" }

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
    stop(exit_code.USAGE, nil, self:get_usage() .. "\n\ntidemill: " .. text)
  end
end

--- The parser with all verbs, and the verbs by name.
function cli.parser()
  local parser = argparse("tidemill", "A stream processor: Kafka in, Lua functions in forked workers, Kafka out.")
  parser:command_target("verb"):require_command(true)
  parser:epilog("`tidemill help VERB` and `tidemill help WORD` (a word of the pipeline file) tell more.")
  parser:help_max_width(100):usage_max_width(100)
  add_help(parser)
  parser:flag("--version"):description("Show the version and exit."):action(function()
    stop(exit_code.OK, require("tidemill.cli.version").text() .. "\n")
  end)
  local verbs = {}
  for _, name in ipairs(cli.verbs) do
    local verb = require("tidemill.cli." .. name)
    local command = parser:command(name):summary(verb.summary):description(verb.description or verb.summary)
    add_help(command)
    local actions = verb.define(command, add_help)
    verbs[name] = { run = verb.run, command = command, summary = verb.summary, actions = actions }
  end
  return parser, verbs
end

local function dispatch(argv)
  local parser, verbs = cli.parser()
  local arguments = {}
  for i = 1, #argv do arguments[i] = argv[i] end
  local parsed = parser:parse(arguments)
  return verbs[parsed.verb].run(parsed, { parser = parser, verbs = verbs, order = cli.verbs })
end

local function with_traceback(failure)
  if getmetatable(failure) == Stop then return failure end
  return debug.traceback(tostring(failure), 2)
end

--- argv[1..]: the arguments. Returns the exit code.
function cli.main(argv)
  local done, result = xpcall(dispatch, with_traceback, argv)
  if done then return result end
  if getmetatable(result) ~= Stop then
    say.failure("internal error, please report it: %s", result)
    return exit_code.INTERNAL
  end
  if result.out then io.stdout:write(result.out) end
  if result.err then say.line(result.err) end
  return result.code
end

return cli
