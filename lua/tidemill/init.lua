-- SPDX-License-Identifier: MIT
-- require "tidemill": the steps and settings of a pipeline file (steps/), and what a transform uses (run/, lib/).
-- A step or setting only notes what it was called with and in which line; plan/pipeline_file.lua checks the whole
-- pipeline at once, so that all faults are reported together.
local list = require("tidemill.steps.list")
local foreign = require("tidemill.plan.foreign")
local nearest = require("tidemill.plan.nearest")
local declaration = require("tidemill.plan.declaration")
local secret = require("tidemill.plan.secret")
local session = require("tidemill.plan.session")
local lookups = require("tidemill.run.lookups")
local tables = require("tidemill.run.tables")
local missing_libraries = require("tidemill.run.missing_libraries")
local variables = require("tidemill.run.variables")

local tide = {}

-- A fault of the pipeline file: gathered during a load, an error at once elsewhere.
local function fault(where, text, ...)
  if not session.current then error((where.file .. ":" .. (where.line or 0) .. ": " .. text):format(...), 0) end
  session.current:fault(where, text, ...)
end

local function step_names()
  local names = {}
  for i, spec in ipairs(list) do names[i] = spec.name end
  for short in pairs(list.short_names) do names[#names + 1] = short end
  return names
end

-- The function behind tide.NAME { options }, for a step or a setting. Faults show the name that was written.
local function step_function(spec, name)
  return function(arguments)
    local where = declaration.where(2)
    if arguments ~= nil and (type(arguments) ~= "table" or declaration.is(arguments)) then
      fault(where, "tide.%s: takes a table of options, as %s; this is a %s", name,
        (spec.example:gsub("^tide%.[%w_]+", "tide." .. name)),
        declaration.is(arguments) and tostring(arguments) or type(arguments))
      arguments = session.absent
    end
    return declaration.new(spec, arguments or {}, where, name)
  end
end

local function is_name(where, step, name)
  if session.is_absent(name) then return false end
  if type(name) == "string" and name ~= "" then return true end
  fault(where, "tide.%s: takes a text first, as %s; this is a %s", step, list[step].example, type(name))
  return false
end

--- tide.pipeline "name" { steps ..., settings }
function tide.pipeline(name)
  local where = declaration.where(2)
  if not is_name(where, "pipeline", name) then name = session.absent end
  return function(arguments)
    if type(arguments) ~= "table" or declaration.is(arguments) then
      fault(where, "tide.pipeline: takes a name and a table, as %s", list.pipeline.example)
      arguments = {}
    end
    local pipeline = declaration.new(list.pipeline, arguments, where)
    pipeline.name = name
    return pipeline
  end
end

--- tide.param(name, default)
function tide.param(name, default)
  local where = declaration.where(2)
  if not is_name(where, "param", name) then return session.absent end
  if not session.current then error("tide.param: only a pipeline file has parameters", 2) end
  return session.current:param(where, name, default)
end

--- tide.env(name, default): in a pipeline file a value that is fetched late and never shown; where functions run,
--- the variable itself; without a default (which may be nil) it must be set.
function tide.env(name, ...)
  local default = ...
  if not session.current then
    if type(name) ~= "string" then error("tide.env takes the name of a variable, got a " .. type(name), 2) end
    local value, problem = variables.get(name)
    if value == nil and not problem and select("#", ...) == 0 then
      problem = ('the variable %s is not set, and tide.env("%s") names no default'):format(name, name)
    end
    if problem then error("tide.env: " .. problem, 2) end
    if value == nil then return default end
    return value
  end
  if not is_name(declaration.where(2), "env", name) then return session.absent end
  return secret.env(name, default)
end

--- tide.secret_file(path)
function tide.secret_file(path)
  if not is_name(declaration.where(2), "secret_file", path) then return session.absent end
  if session.current then table.insert(session.current.secrets, path) end
  return secret.file(path)
end

--- tide.credential(name)
function tide.credential(name)
  local where = declaration.where(2)
  if not is_name(where, "credential", name) then return session.absent end
  if name:find("/", 1, true) or name == "." or name == ".." then
    fault(where, 'tide.credential "%s": takes a name, not a path; for a file say tide.secret_file', name)
    return session.absent
  end
  return secret.credential(name)
end

--- tide.lookup "users.csv", tide.lookup { "users.csv", by = "id" }
function tide.lookup(options)
  local where, current = declaration.where(2), session.current
  local broken = {}
  local function fail(text)
    fault(where, "tide.lookup: %s", text)
    error(broken, 0)
  end
  if not current then return (lookups.declare(options, fail)) end
  local declared, handle = pcall(lookups.declare, options, fail, function(state)
    table.insert(current.lookups, state)
  end)
  if not declared and handle ~= broken then error(handle, 0) end
  return declared and handle or session.absent
end

--- tide.table "users" { topic = "users" } in a pipeline file; tide.table "users" for a table that it declares.
function tide.table(name)
  local where, current = declaration.where(2), session.current
  if not is_name(where, "table", name) then return session.absent end
  local function declare(options)
    local here = declaration.where(3)
    if not current or session.current ~= current then
      fault(here, 'tide.table "%s" { ... }: stands in the pipeline file; elsewhere say tide.table "%s"', name, name)
    elseif type(options) ~= "table" or declaration.is(options) then
      fault(here, 'tide.table: takes options, as %s', list.table.example)
    else
      local use = declaration.new(list.table, options, here)
      use.table_name = name
      table.insert(current.tables, use)
    end
  end
  return (tables.handle(name, declare))
end

for _, spec in ipairs(list) do
  tide[spec.name] = tide[spec.name] or step_function(spec, spec.name)
end
for short, name in pairs(list.short_names) do tide[short] = step_function(list[name], short) end

--- This was the name of message:header earlier.
function tide.header()
  error('tide.header(message, "name") is written message:header "name" now', 2)
end

-- What transforms use is fetched when it is first asked for: from run/message.lua, run/answer.lua, run/pack.lua.
local FOR_TRANSFORMS = { drop = "answer", reject = "answer", retry = "answer", many = "answer", null = "message",
  json = "message", array = "message", pack = "pack", unpack = "pack" }

-- The modules of lib/ and their system libraries are loaded here, before any function of the user runs, so that a file
-- that the user opens cannot take their file descriptors.
for _, name in ipairs { "log", "metric", "time", "hash", "hmac", "base64", "regex", "zstd", "gzip", "msgpack", "csv",
  "grok", "logfmt", "syslog", "url", "utf8", "avro", "protobuf" } do
  tide[name] = require("tidemill.lib." .. name)
end

-- Those that bring many libraries along are loaded when a file names them.
local LATE = { http = "tidemill.lib.http", registry = "tidemill.lib.registry" }
for name, module in pairs(LATE) do missing_libraries.add_late(name, module) end

require("tidemill.run.lookup_rows").use_msgpack(tide.msgpack.decode)

local function for_transforms(name)
  if FOR_TRANSFORMS[name] then return require("tidemill.run." .. FOR_TRANSFORMS[name])[name] end
end

local function unknown(name, where)
  local reason = list.refused[name]
  if reason then
    fault(where, "tide.%s: refused: %s", name, reason)
  else
    fault(where, "tide.%s: unknown%s", name, foreign.step(name) or nearest.hint(tostring(name), step_names()))
  end
end

-- An unknown name is a fault like any other: it is noted, and the load goes on.
setmetatable(tide, {
  __index = function(_, name)
    if LATE[name] then return require(LATE[name]) end
    local value = for_transforms(name)
    if value ~= nil then
      rawset(tide, name, value)
      return value
    end
    unknown(name, declaration.where(2))
    return function() return session.absent end
  end,
  __newindex = function(_, name)
    error(("tide.%s is written; the table of tidemill is not to be changed, all files have the same"):format(
      tostring(name)), 2)
  end,
})

return tide
