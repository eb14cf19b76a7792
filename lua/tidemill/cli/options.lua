-- SPDX-License-Identifier: MIT
-- cli/options.lua: adds arguments that several commands take.
local options = {}

function options.file(command)
  command:argument("file"):description("The pipeline file."):argname("FILE")
end

--- --set name=value, gathered in parsed.set.
function options.set(command)
  command:option("--set"):argname("NAME=VALUE"):count("*"):target("set"):init({})
    :description("Set a parameter of the pipeline (tide.param); may be repeated.")
    :convert(function(text)
      local name, value = text:match("^([^=]+)=(.*)$")
      if not name then return nil, ("--set %s: must be NAME=VALUE"):format(text) end
      return { name = name, value = value }
    end)
    :action(function(result, target, pair) result[target][pair.name] = pair.value end)
end

--- --table NAME=FILE, gathered in parsed.table by name.
function options.tables(command)
  command:option("--table"):argname("NAME=FILE"):count("*"):target("table"):init({})
    :description("Read the rows of a table (tide.table) from FILE in place of its topic: lines as `tidemill record` "
      .. 'writes them, or {"key": "u1", "value": {"name": "Ann"}}; may be repeated.')
    :convert(function(text)
      local name, path = text:match("^([^=]+)=(.+)$")
      if not name then return nil, ("--table %s: must be NAME=FILE"):format(text) end
      return { name = name, path = path }
    end)
    :action(function(result, target, pair) result[target][pair.name] = pair.path end)
end

--- --trust LEVEL
function options.trust(command)
  command:option("--trust"):argname("LEVEL"):choices({ "full", "standard", "hardened" })
    :description("What functions may do, in place of the pipeline's setting trust.")
end

return options
