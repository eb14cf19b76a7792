-- SPDX-License-Identifier: MIT
-- cli/completion.lua: tidemill completion bash|zsh|fish prints a completion script.
local exit_code = require("tidemill.plan.exit_code")
local help = require("tidemill.cli.help")

local completion = {
  summary = "Print the completion script of a shell.",
  description = "Print the completion script of a shell. For bash: source <(tidemill completion bash)",
}

function completion.define(command)
  command:argument("shell"):choices({ "bash", "zsh", "fish" }):argname("SHELL"):description("bash, zsh or fish.")
end

-- argparse completes the choices of options, but not those of arguments, so what `help` takes is added here.
local HELP = {
  bash = {
    'case "%$cmd" in\n',
    'case "$cmd" in\n        \'help\')\n            COMPREPLY=($(compgen -W "%s" -- "$cur"))\n            ;;\n',
  },
  zsh = { '(    help%).-)": :_files"', '%%1": :(%s)"' },
  fish = { "$", "complete -c tidemill -n '__fish_tidemill_using_command help' -xa '%s'\n" },
}

function completion.run(parsed, context)
  local script = context.parser["get_" .. parsed.shell .. "_complete"](context.parser)
  local before, text = unpack(HELP[parsed.shell])
  script = script:gsub(before, text:format(table.concat(help.topics(context), " ")), 1)
  io.stdout:write(script)
  return exit_code.OK
end

return completion
