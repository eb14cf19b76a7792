-- SPDX-License-Identifier: MIT
-- Runs the engines under torture as a supervisor does: one that ends is started again at once, under its name.
--
-- An engine is { name, static, members = how many engines it is under one supervisor (nil: one, without), wanted, run =
-- "NAME.LIFE" of the present process, process, workers = pids according to the journal, zygote = pid, expected = the
-- exit codes that the nemesis may have caused, began = a worker of this process has started, stopped = it is suspended
-- by the nemesis, leaving = it was sent SIGTERM, reloads = how many it was asked for }.
local cjson = require "cjson"
local ffi = require "ffi"
local process = require "spec.support.process"
local journal = require "scripts.torture.journal"

local fleet = {}
local methods = {}
local metatable = { __index = methods }

local PROGRAM = (os.getenv("TIDE_BUILD") or "build") .. "/tidemill"
fleet.PROGRAM = PROGRAM
local PIPELINE = "scripts/torture/pipeline.lua"
fleet.TRY_AGAIN = 75 -- an exit code

--- settings: dir (of logs, reports and the journal), journal (its path), parameters (of the pipeline, by name), second
--- (a topic), keyed (what they keep for each key: counts, windows; nil = nothing).
function fleet.new(settings)
  return setmetatable({ settings = settings, engines = {}, by_run = {}, problems = {}, reports = {}, lives = 0 },
    metatable)
end

-- Adds the parameters of an engine of this name.
local function add_parameters(self, list, name, is_static)
  local function set(parameter, value)
    list[#list + 1] = "--set"
    list[#list + 1] = parameter .. "=" .. value
  end
  for parameter, value in pairs(self.settings.parameters) do set(parameter, value) end
  if is_static then set("instance", name) end
  if self.settings.keyed then
    set("keyed", self.settings.keyed)
    set("state_dir", self:state_dir(name))
  end
  return list
end

local function arguments_of(self, engine)
  local list = add_parameters(self, { "setpriv", "--pdeathsig", "KILL", PROGRAM, "run", PIPELINE,
    "--report", self.settings.dir .. "/" .. engine.run .. ".json" }, engine.name, engine.static)
  if engine.members then
    list[#list + 1] = "--engines"
    list[#list + 1] = tostring(engine.members)
  end
  return list
end

--- The folder in which an engine of this name keeps its state.
function methods:state_dir(name)
  return ("%s/%s.state"):format(self.settings.dir, name)
end

local function environment(self, run)
  return { TORTURE_JOURNAL = self.settings.journal, TORTURE_RUN = run, TORTURE_SECOND = self.settings.second }
end

local function launch(self, engine)
  engine.life = engine.life + 1
  self.lives = self.lives + 1
  engine.run = engine.name .. "." .. engine.life
  engine.workers, engine.zygote, engine.expected, engine.stopped, engine.leaving = {}, nil, {}, false, false
  engine.reloads, engine.began = 0, false
  engine.process = process.start(arguments_of(self, engine), { env = environment(self, engine.run) })
  self.by_run[engine.run] = engine
  journal.write(self.settings.journal, engine.run, "launch", engine.process:pid())
end

--- `static`: it has a static membership, with its name as its instance. `members`: it is so many engines under one
--- supervisor.
function methods:add(name, static, members)
  local engine = { name = name, static = static, members = members, wanted = true, life = 0 }
  self.engines[#self.engines + 1] = engine
  launch(self, engine)
  return engine
end

local function keep(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local function read_report(self, engine)
  local file = io.open(self.settings.dir .. "/" .. engine.run .. ".json")
  local text = file and file:read("*a") or ""
  if file then file:close() end
  if #text > 0 then self.reports[#self.reports + 1] = cjson.decode(text) end
end

-- A request to join of the process before it, which was killed, may reach the broker behind its own: then it is started
-- again, as its exit code says.
local function met_late_request(engine, code, words)
  return engine.static and engine.life > 1 and code == fleet.TRY_AGAIN
    and words:find("another request to join as instance", 1, true)
end

-- Keeps the log and the report of an engine that has ended. An exit code that was not expected is a problem.
local function collect(self, engine)
  local code, words = engine.process:code(), engine.process:stderr()
  keep(("%s/%s.log"):format(self.settings.dir, engine.run), words)
  engine.process:stop()
  engine.process = nil
  self.by_run[engine.run] = nil
  journal.write(self.settings.journal, engine.run, "ended", code)
  if not engine.expected[code] and not met_late_request(engine, code, words) then
    local last = words:match("([^\n]*\n[^\n]*\n[^\n]*)\n*$") or words
    table.insert(self.problems, ("engine %s ended with code %d: %s"):format(engine.run, code, last))
  end
  if code == 0 then read_report(self, engine) end
end

-- Learns the pids of zygotes and workers from what they have written since the last turn.
local function read_journal(self)
  local file = self.file or io.open(self.settings.journal)
  self.file = file
  if not file then return end
  file:seek("cur", 0) -- after this the end of the file is looked for again
  for line in file:lines() do
    local entry = journal.parse(line)
    local engine = entry and self.by_run[entry.run]
    if engine and entry.event == "zygote" then engine.zygote = entry.pid end
    if engine and entry.event == "start" then
      table.insert(engine.workers, entry.pid)
      engine.began = true
    end
  end
end

local function alive(pid)
  return ffi.C.kill(pid, 0) == 0
end

--- Collects the engines that have ended and starts them again; call it often.
function methods:turn()
  read_journal(self)
  for _, engine in ipairs(self.engines) do
    if engine.process and not engine.process:running() then collect(self, engine) end
    if not engine.process and engine.wanted then launch(self, engine) end
    for i = #engine.workers, 1, -1 do
      if not engine.process or not alive(engine.workers[i]) then table.remove(engine.workers, i) end
    end
  end
end

--- The pids of the engines that a supervisor has now, as its log tells them.
function fleet.members(engine)
  local pids, list = {}, {}
  for number, pid in engine.process:stderr():gmatch("engine (%d+) starts[%a ]*: process (%d+)") do
    pids[tonumber(number)] = tonumber(pid)
  end
  for _, pid in pairs(pids) do
    if alive(pid) then list[#list + 1] = pid end
  end
  return list
end

--- The running engines for which `fits` is true.
function methods:which(fits)
  local list = {}
  for _, engine in ipairs(self.engines) do
    if engine.process and engine.process:running() and fits(engine) then list[#list + 1] = engine end
  end
  return list
end

--- Sends SIGTERM to an engine that was sent none, since a second one would end it at once.
function fleet.stop(engine)
  engine.expected[0], engine.leaving = true, true
  return engine.process:signal("TERM")
end

--- What `tidemill state` exports of the folder of an engine of this name, once an engine that finds nothing to read has
--- restored the rest into it. Nil, and what is wrong, when one of them fails.
function methods:export(name)
  local restore = add_parameters(self, { PROGRAM, "run", PIPELINE, "--until-end" }, name, true)
  local export = add_parameters(self, { PROGRAM, "state", PIPELINE }, name, true)
  export[#export + 1] = "export"
  local text
  for _, arguments in ipairs { restore, export } do
    local code, out, words = process.run(arguments, { env = environment(self, "export") })
    if code ~= 0 then return nil, ("%s ended with code %d: %s"):format(arguments[2], code, words) end
    text = out
  end
  return text
end

-- Waits until each engine that is wanted has a worker. One that has just been started would be ended by SIGTERM as any
-- program is; when it forks workers it reads its signals itself.
local function await_beginnings(self, wait)
  return pcall(wait.until_true, function()
    self:turn()
    for _, engine in ipairs(self.engines) do
      if engine.wanted and not engine.began then return false end
    end
    return true
  end, 40)
end

--- Sends SIGTERM to all engines once they have begun, and waits until they have ended, with code 0.
function methods:finish(wait)
  if not await_beginnings(self, wait) then
    table.insert(self.problems, "engines did not begin within 40 s")
  end
  for _, engine in ipairs(self.engines) do
    engine.wanted = false
    if engine.process and not engine.leaving then fleet.stop(engine) end
  end
  local ok = pcall(wait.until_true, function()
    self:turn()
    for _, engine in ipairs(self.engines) do
      if engine.process then return false end
    end
    return true
  end, 40)
  if not ok then table.insert(self.problems, "engines did not end within 40 s of SIGTERM") end
  if self.file then self.file:close() end
end

return fleet
