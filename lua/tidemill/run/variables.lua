-- SPDX-License-Identifier: MIT
-- run/variables.lua: the environment variables that the user's functions see: under trust = "standard" and "hardened"
-- those that the pipeline names (env). Others are gone from the environment of zygote and workers. Who asks for one
-- that is set for tidemill itself is told so, as nothing but its absence would be seen.
local C = require("tidemill.run.ffi").C

local variables = {}

local withheld = {} -- names of variables that are set and not seen -> true, or "told"

local function problem_of(name)
  return ('the variable %s is set, but functions see only those that the pipeline names: env = { "%s" }'):format(name,
    name)
end

--- Returns the value of a variable; or nil, and what is wrong when it is set but not seen.
function variables.get(name)
  if withheld[name] then return nil, problem_of(name) end
  return (os.getenv(name))
end

--- From now on the variables with these names are not seen in this process; nil = all are.
function variables.withhold(names)
  withheld = names or {}
  if not names then return end
  local get = os.getenv
  function os.getenv(name) -- luacheck: ignore
    if not withheld[name] then return get(name) end
    if withheld[name] ~= "told" then C.tide_log_text(C.TIDE_LOG_WARN, "os.getenv: " .. problem_of(name)) end
    withheld[name] = "told"
    return nil
  end
end

return variables
