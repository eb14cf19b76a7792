-- SPDX-License-Identifier: MIT
-- cli/new.lua: tidemill new NAME writes a folder with a pipeline, a transform and a spec that pass at once.
local exit_code = require("tidemill.plan.exit_code")
local stderr = require("tidemill.cli.stderr")
local files = require("tidemill.cli.new_files")
local posix = require("tidemill.run.posix")

local new = {
  summary = "Write a new pipeline with its transform and spec.",
  description = "Write the folder NAME with a pipeline, a transform and a spec that pass at once.",
}

function new.define(command)
  command:argument("name"):argname("NAME"):description("The name of the pipeline and its folder: letters, digits, - "
    .. "and _.")
end

local function write(path, text)
  local file, reason = io.open(path, "wb")
  if not file then return reason end
  file:write(text)
  file:close()
end

function new.run(parsed)
  local name = parsed.name
  if not name:find("^[%w_][%w_-]*$") then
    stderr.failure('new %s: a name has letters, digits, - and _', name)
    return exit_code.USAGE
  end
  if posix.mkdir(name, tonumber("755", 8)) ~= 0 or posix.mkdir(name .. "/spec", tonumber("755", 8)) ~= 0 then
    stderr.failure("%s: is there already, or cannot be made", name)
    return exit_code.NO_INPUT
  end
  for _, file in ipairs(files) do
    local reason = write(name .. "/" .. file.path, (file.text:gsub("NAME", name)))
    if reason then
      stderr.failure("%s", reason)
      return exit_code.NO_INPUT
    end
  end
  io.stdout:write(([[
%s/pipeline.lua  %s/transform.lua  %s/messages.jsonl  %s/spec/transform_spec.lua
Now:
  cd %s
  tidemill test
  tidemill run pipeline.lua --input messages.jsonl
]]):format(name, name, name, name, name))
  return exit_code.OK
end

return new
