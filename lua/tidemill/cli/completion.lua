-- SPDX-License-Identifier: MIT
-- cli/completion.lua: tidemill completion bash|zsh|fish
local exit_code = require("tidemill.cli.exit_code")

local completion = {
  summary = "Print the completion script of a shell.",
  description = "Print the completion script of a shell. For bash: source <(tidemill completion bash)",
}

function completion.define(command)
  command:argument("shell"):choices({ "bash", "zsh", "fish" }):argname("SHELL"):description("bash, zsh or fish.")
end

function completion.run(parsed, context)
  io.stdout:write(context.parser["get_" .. parsed.shell .. "_complete"](context.parser))
  return exit_code.OK
end

return completion
