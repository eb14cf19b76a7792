-- SPDX-License-Identifier: MIT
-- A pipeline file of any text (plan/pipeline_file.lua, plan/text_file.lua): it is loaded, checked, planned and
-- shown, and each of these gives a result or texts that name the file, with an exit code; none raises an error. What
-- the file could do to this machine is taken away from it first: input, output, processes, the FFI, and the tables
-- of this program. Input: the file.
fuzz_interpreted()
local environment = require("tidemill.run.environment")
local advice = require("tidemill.plan.advice")
local loader = require("tidemill.plan.pipeline_file")
local plan = require("tidemill.plan.plan")
local print = require("tidemill.plan.print")
require("tidemill")

local TAKEN = { "io", "os", "debug", "ffi", "jit", "package", "load", "loadstring", "loadfile", "dofile", "newproxy",
  "collectgarbage", "getmetatable", "setmetatable", "rawset", "rawget", "getfenv", "setfenv", "module", "print" }
local COPIED = { "string", "table", "math", "bit" }
local CODES = { [64] = true, [65] = true, [66] = true, [78] = true }

local new = environment.new

function environment.new(...)
  local globals = new(...)
  for _, name in ipairs(TAKEN) do globals[name] = nil end
  for _, name in ipairs(COPIED) do
    local copy = {}
    for key, value in pairs(globals[name] or {}) do copy[key] = value end
    globals[name] = copy
  end
  local require_it = globals.require
  function globals.require(name)
    if name ~= "tidemill" then error("there is no module of that name here", 2) end
    return require_it(name)
  end
  globals._G = globals
  return globals
end

local folder = io.open("/dev/shm") and "/dev/shm" or "/tmp"
local path = ("%s/tidemill-fuzz-%d.lua"):format(folder, tonumber(require("tidemill.run.posix").getpid()))

local function write(text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

local function check_refusal(texts, code)
  assert(CODES[code], "no exit code of a refusal: " .. tostring(code))
  assert(type(texts) == "table" and #texts > 0, "refused without a reason")
  for _, text in ipairs(texts) do assert(type(text) == "string" and text ~= "", "a reason without words") end
end

local function check_lines(text)
  assert(type(text) == "string" and text:sub(-1) == "\n", "what is shown has no last line")
end

return function(text)
  write(text)
  local pipeline, texts, code = loader.load(path, { name = "value" })
  if not pipeline then
    os.remove(path)
    return check_refusal(texts, code)
  end
  check_lines(print.text(pipeline))
  check_lines(print.dot(pipeline))
  local planned
  planned, texts, code = plan.load(path, { set = { name = "value" } })
  os.remove(path)
  if not planned then return check_refusal(texts, code) end
  for _, one in ipairs(advice.about(planned.pipeline, planned.tables.source.own_topics)) do
    assert(one:find(path, 1, true) == 1, "a warning that names no file")
  end
  planned:kafka_topics(true)
end
