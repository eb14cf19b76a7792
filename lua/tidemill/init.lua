-- SPDX-License-Identifier: MIT
-- tidemill: the words of a pipeline file (steps/), and what a transform uses (run/message.lua).
-- A word only notes what it was called with and where; plan/load.lua checks all of it at once.
local list = require("tidemill.steps.list")
local foreign = require("tidemill.plan.foreign")
local nearest = require("tidemill.plan.nearest")
local node = require("tidemill.plan.node")
local secret = require("tidemill.plan.secret")
local session = require("tidemill.plan.session")

local tide = {}

-- A fault of the pipeline file: gathered during a load, an error at once elsewhere.
local function fault(where, text, ...)
  if not session.current then error((where.file .. ":" .. (where.line or 0) .. ": " .. text):format(...), 0) end
  session.current:fault(where, text, ...)
end

local function word_names()
  local names = {}
  for i, spec in ipairs(list) do names[i] = spec.word end
  return names
end

-- A step or a setting: tide.word { options }.
local function step_word(spec)
  return function(arguments)
    local where = node.where(2)
    if arguments ~= nil and (type(arguments) ~= "table" or node.is(arguments)) then
      fault(where, 'word "%s": takes a table of options, as %s; this is a %s', spec.word, spec.example,
        node.is(arguments) and tostring(arguments) or type(arguments))
      arguments = session.absent
    end
    return node.new(spec, arguments or {}, where)
  end
end

local function is_name(where, word, name)
  if session.is_absent(name) then return false end
  if type(name) == "string" and name ~= "" then return true end
  fault(where, 'word "%s": takes a text first, as %s; this is a %s', word, list[word].example, type(name))
  return false
end

--- tide.pipeline "name" { steps ..., settings }
function tide.pipeline(name)
  local where = node.where(2)
  if not is_name(where, "pipeline", name) then name = session.absent end
  return function(arguments)
    if type(arguments) ~= "table" or node.is(arguments) then
      fault(where, 'word "pipeline": takes a name and a table, as %s', list.pipeline.example)
      arguments = {}
    end
    local pipeline = node.new(list.pipeline, arguments, where)
    pipeline.name = name
    return pipeline
  end
end

--- tide.param(name, default)
function tide.param(name, default)
  local where = node.where(2)
  if not is_name(where, "param", name) then return session.absent end
  if not session.current then error("tide.param: only a pipeline file has parameters", 2) end
  return session.current:param(where, name, default)
end

--- tide.env(name, default): in a pipeline file a value that is fetched late and never shown; where functions run,
--- the variable itself.
function tide.env(name, default)
  if not session.current then
    if type(name) ~= "string" then error("tide.env takes the name of a variable, got a " .. type(name), 2) end
    local value = os.getenv(name)
    if value == nil then return default end
    return value
  end
  if not is_name(node.where(2), "env", name) then return session.absent end
  return secret.env(name, default)
end

--- tide.secret_file(path)
function tide.secret_file(path)
  if not is_name(node.where(2), "secret_file", path) then return session.absent end
  return secret.file(path)
end

for _, spec in ipairs(list) do
  tide[spec.word] = tide[spec.word] or step_word(spec)
end

-- What transforms use, fetched when first asked for: of run/message.lua, run/verdict.lua, run/pack.lua.
local FOR_TRANSFORMS = { reject = "verdict", retry = "verdict", header = "message", null = "message", many = "message",
  json = "message", array = "message", pack = "pack", unpack = "pack" }

-- The modules of lib/ and the system libraries that they open are loaded here, before any function of the user: what
-- that opens cannot take their file descriptors.
for _, name in ipairs { "log", "metric", "time", "hash", "base64", "regex", "zstd", "gzip", "msgpack" } do
  tide[name] = require("tidemill.lib." .. name)
end

local function for_transforms(name)
  if FOR_TRANSFORMS[name] then return require("tidemill.run." .. FOR_TRANSFORMS[name])[name] end
end

local function unknown(name, where)
  local reason = list.refused[name]
  if reason then
    fault(where, 'word "%s": refused: %s', name, reason)
  else
    fault(where, 'word "%s": unknown%s', name, foreign.word(name) or nearest.hint(tostring(name), word_names()))
  end
end

-- An unknown word is a fault like any other, so that all are reported together: the load goes on.
setmetatable(tide, {
  __index = function(_, name)
    local value = for_transforms(name)
    if value ~= nil then
      rawset(tide, name, value)
      return value
    end
    unknown(name, node.where(2))
    return function() return session.absent end
  end,
  __newindex = function(_, name)
    error(("tide.%s is written; the table of tidemill is not to be changed, all files have the same"):format(
      tostring(name)), 2)
  end,
})

return tide
