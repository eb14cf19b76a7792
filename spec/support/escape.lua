-- SPDX-License-Identifier: MIT
-- Runs hostile scripts (spec/escape/scripts) in a pipeline on files, one message for each, and says what they have
-- gained. The pipeline has two steps with a worker each: scripts run in the first (spec/escape/carrier.lua), the
-- second is the sibling that they may try to reach. It stays while scripts come and go; the worker in which one ran
-- is killed behind it, so that the next has a fresh one. Start reading at methods.attempt.
-- A script is a table: name; what = what it tries; stopped_by = { [level] = true }, the levels that claim to stop
-- it, where "list" is standard with a list of hosts as `network` (spec/escape/network_spec.lua); shown = under trust =
-- "full" it does its harm, and is shown to; hangs = it ends by message_timeout; result = it attacks by what it returns;
-- landlock = true: it takes Landlock to stop it (docs/security.md, "What an older kernel lacks").
local canary = require "spec.support.canary"
local cjson = require "cjson"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local program = require "spec.support.program"
local wait = require "spec.support.wait"

local escape = {}
local methods = {}
methods.__index = methods

local DYING = 20 -- seconds that what a dead worker has left may take to be gone

escape.LEVELS = { "full", "standard", "hardened" }

local PIPELINE = [[
local tide = require "tidemill"
return tide.pipeline "escape" {
  tide.file_source { path = %q },
  tide.run_task_with_multiprocessing { "carrier.lua", "witness.lua", processes = %d, max_batch_size = %s,
    max_input_block_size = "1MiB", max_output_block_size = "1MiB" },
  tide.run_task_with_multiprocessing { "neighbour.lua", processes = 1 },
  tide.file_sink { path = %q },
  dlq = tide.dlq { path = %q },
  trust = %q, worker_memory = "64MiB", message_timeout = %q, retry_timeout = "300ms", network = %s,
}
]]

local function contents(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

-- The comment behind the line of the licence.
local function comment_of(text)
  local lines = {}
  for line in text:gmatch "[^\n]+" do
    local words = line:match "^%-%- (.*)"
    if not words then break end
    lines[#lines + 1] = words
  end
  return table.concat(lines, " ", 2)
end

--- All scripts, by name in order.
function escape.scripts()
  local list = {}
  local pipe = assert(io.popen "ls spec/escape/scripts/*.lua")
  for path in pipe:lines() do
    local script = dofile(path)
    script.name, script.what = path:match "([%w_]+)%.lua$", comment_of(contents(path))
    local levels = {}
    for _, level in ipairs(script.stopped_by) do levels[level] = true end
    script.stopped_by = levels
    list[#list + 1] = script
  end
  pipe:close()
  return list
end

-- Exit code and log of `check` on a pipeline under this level of trust.
local function check(level)
  local path = pipeline_file.write(PIPELINE:format("-", 1, 1, "-", "-", level, "1s", "false"),
    { ["carrier.lua"] = "return print", ["witness.lua"] = "return print", ["neighbour.lua"] = "return print" })
  local code, _, err = process.run { program.path, "check", path }
  pipeline_file.remove_all()
  return code, err
end

--- Whether there is this level of trust here; or nil and what the program says of it.
function escape.available(level)
  local code, err = check(level)
  if code == 0 then return true end
  return nil, err
end

local no_landlock -- of this kernel

--- Why a script cannot be stopped on this kernel; nil when it can.
function escape.beyond(script)
  if no_landlock == nil then no_landlock = select(2, check "standard"):find("no Landlock", 1, true) ~= nil end
  return script.landlock and no_landlock and "this kernel has no Landlock" or nil
end

--- A pipeline under a level of trust. options: processes of the first step (1), max_batch_size (3), batch_time = after
--- which a batch is closed that is not full (none: when a worker is idle), message_timeout,
--- listed = the port of 127.0.0.1 that `network` names (none), dying = seconds that what a dead worker has left may
--- take to be gone (20), program = its path (that of this build), faults = for TIDE_FAULTS (none).
function escape.run(level, options)
  local self = setmetatable({ level = level, options = options or {} }, methods)
  self:start()
  return self
end

local function parent_of(pid)
  local file = io.open(("/proc/%d/stat"):format(pid))
  local line = file and file:read "*l"
  if file then file:close() end
  return line and tonumber(line:match "^%d+ .*%) %a (%d+)")
end

--- The zygote and its workers, in the order of their start; nil until there are all of them. The engine has other
--- children, which have none: the forker, and with a list of hosts the connector.
function methods:family()
  for _, zygote in ipairs(process.children(self.engine)) do
    local workers = process.children(zygote)
    if #workers == self.processes + 1 then return zygote, workers end
  end
end

function methods:start()
  self.canary = canary.new()
  local root, options = self.canary.root, self.options
  self.fifo, self.out_path, self.letters_path = root .. "/fifo", root .. "/out", root .. "/letters"
  self.processes, self.lines, self.serial = options.processes or 1, 0, 0
  self.seen, self.tail, self.out_end, self.letters_end = {}, {}, 0, 0
  local batches = options.max_batch_size or 3
  if options.batch_time then
    batches = ("%d, eager = false, max_batch_time = %q"):format(batches, options.batch_time)
  end
  local file = assert(io.open(self.canary.folder .. "/p.lua", "w"))
  file:write(PIPELINE:format(self.fifo, self.processes, batches, self.out_path, self.letters_path,
    self.level, options.message_timeout or "5s",
    options.listed and ('{ "127.0.0.1:%d" }'):format(options.listed) or "false"))
  file:close()
  assert(os.execute("mkfifo " .. self.fifo) == 0)
  self.pipe = assert(io.open(self.fifo, "r+"))
  self.canary.files = select(2, self.canary:look())
  self.process = process.start({ "/bin/sh", "-c", 'exec "$0" run "$1" 9<"$2"',
    options.program or program.path, self.canary.folder .. "/p.lua", self.canary.file },
    { env = { [canary.VARIABLE] = self.canary.secret, TIDE_FAULTS = options.faults } })
  self.engine = self.process:pid()
  wait.until_true(function()
    if self.process:code() then error("it did not start: " .. self.process:stderr(), 0) end
    local zygote, workers = self:family()
    self.zygote, self.workers = zygote, workers
    return zygote
  end, "the workers")
  self.sibling = self.workers[#self.workers] -- started behind those of the first step
  self.others = {}
  for _, pid in ipairs(process.children(self.engine)) do
    if pid ~= self.zygote then self.others[pid] = true end
  end
end

--- Ends the engine and what scripts have left.
function methods:stop()
  self.pipe:close()
  self.process:signal "KILL"
  self.process:stop()
  for pid in pairs((self.canary:look())) do process.kill(pid) end
  self.canary:remove()
end

function methods:feed(lines)
  self.pipe:write(table.concat(lines, "\n"), "\n")
  self.pipe:flush()
  self.lines = self.lines + #lines
end

-- The lines that were added to a file since `from`, and where they end.
local function new_lines(path, from)
  local file = io.open(path, "rb")
  if not file then return {}, from end
  file:seek("set", from)
  local text, lines = file:read "*a", {}
  file:close()
  text = text:match "^.*\n" or ""
  for line in text:gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
  return lines, from + #text
end

--- Waits until `count` lines behind line `first` are results or dead letters, or the engine is gone. Returns the
--- results, and the dead letters by the line (1 is the first of these) that they stand for.
function methods:outcome(count, first)
  local from_out, from_letters = self.out_end, self.letters_end
  local results, letters
  wait.until_true(function()
    results, self.out_end = new_lines(self.out_path, from_out)
    letters, self.letters_end = new_lines(self.letters_path, from_letters)
    return #results + #letters >= count or self.process:code()
  end, function()
    return ("%d results and %d dead letters of %d; the log: %s"):format(#results, #letters, count,
      self.process:stderr():sub(-2000))
  end)
  local by_line = {}
  for _, letter in ipairs(letters) do
    by_line[tonumber(letter:match '"original_offset":(%d+)') - first + 1] = cjson.decode(letter)
  end
  return results, by_line
end

-- Feeds the lines and waits for what becomes of them.
function methods:through(lines)
  local first = self.lines
  self:feed(lines)
  return self:outcome(#lines, first)
end

-- Kills the workers in which scripts ran, and waits until others are there and nothing else is. Adds what is wrong.
function methods:renew(fault)
  for _, pid in ipairs(process.children(self.zygote)) do
    if pid ~= self.sibling then process.kill(pid) end
  end
  local complete_since, stray, workers
  wait.until_true(function()
    local pids = self.canary:look()
    workers = process.children(self.zygote)
    pids[self.engine], pids[self.zygote] = nil, nil
    for pid in pairs(self.others) do pids[pid] = nil end
    for _, pid in ipairs(workers) do pids[pid] = nil end
    complete_since = #workers > self.processes and (complete_since or wait.now()) or nil
    stray = next(pids)
    if self.process:code() then return true end
    if complete_since and #workers == self.processes + 1 and not stray then return true end
    return complete_since and wait.now() > complete_since + (self.options.dying or DYING)
  end, "fresh workers")
  if stray then fault("a process is left: " .. stray) end
  if #workers ~= self.processes + 1 then fault(("the zygote has %d children"):format(#workers)) end
end

-- What was added to the outputs and the log since the last look, which must tell nothing of the canary.
function methods:find_leaks(fault)
  for _, path in ipairs { self.out_path, self.letters_path, self.process.stderr_path } do
    local file = io.open(path, "rb")
    if file then
      file:seek("set", self.seen[path] or 0)
      local text = file:read "*a"
      file:close()
      self.seen[path] = (self.seen[path] or 0) + #text
      local leak = self.canary:leak((self.tail[path] or "") .. text)
      self.tail[path] = text:sub(-100)
      if leak then fault(("%s is in %s"):format(leak, path:match "[^/]+$")) end
    end
  end
end

--- What there is no longer of the engine and what belongs to it; nil when all is there.
function methods:loss()
  if self.process:code() then return "the engine has ended with " .. self.process:code() end
  if parent_of(self.zygote) ~= self.engine then return "the zygote is gone" end
  if parent_of(self.sibling) ~= self.zygote then return "the sibling is gone" end
  for pid in pairs(self.others) do
    if parent_of(pid) ~= self.engine then return "the forker or the connector is gone" end
  end
end

-- Compares what there is with what was there. Adds what is wrong.
function methods:look_around(fault)
  local loss = self:loss()
  if loss then fault(loss) end
  local _, files = self.canary:look()
  if files ~= self.canary.files then fault("files have changed:\n" .. files .. "they were:\n" .. self.canary.files) end
  self:find_leaks(fault)
end

-- After an escape: what one script has done must not be taken for what the next one does.
function methods:recover()
  local _, workers = self:family()
  if self:loss() or not workers then
    self:stop()
    return self:start()
  end
  for pid in pairs((self.canary:look())) do
    local ours = pid == self.engine or pid == self.zygote or self.others[pid] or parent_of(pid) == self.zygote
    if not ours then process.kill(pid) end
  end
  self.canary:restore()
  self.tail = {}
end

function methods:told()
  return { engine = self.engine, zygote = self.zygote, sibling = self.sibling, listed = self.options.listed }
end

--- What becomes of the neighbours in the results, and of the scripts' own lines.
local function judge(results, letters, neighbours, attacks, fault)
  local wanted = {}
  for _, text in ipairs(neighbours) do wanted[text] = true end
  for _, result in ipairs(results) do
    if not wanted[result] then fault(result:sub(1, 200)) end
    wanted[result] = nil
  end
  for text in pairs(wanted) do fault("a neighbour did not pass: " .. text) end
  for line, letter in pairs(letters) do
    if not attacks[line] then fault(("a neighbour is a dead letter: %s"):format(letter.error)) end
  end
  for line, name in pairs(attacks) do
    if not letters[line] then fault(name .. " was not rejected") end
  end
end

--- Runs one script between two neighbours. What it has gained, or harmed: a list of texts, empty when it is contained.
function methods:attempt(script)
  local faults = {}
  local function fault(text) faults[#faults + 1] = text end
  self.serial = self.serial + 1
  local before, after = ("before %d of %s"):format(self.serial, script.name), ("after %d"):format(self.serial)
  local results, letters = self:through { before, self.canary:message(script.name, self:told()), after }
  judge(results, letters, { before, after }, { [2] = script.name }, fault)
  self.said = letters[2] and letters[2].error or nil
  if not self.process:code() then self:renew(fault) end
  self:look_around(fault)
  if #faults > 0 then self:recover() end
  return faults
end

--- Runs scripts that hang, all at once, each with a neighbour: what each has gained, by its name.
function methods:attempt_all(scripts)
  local lines, neighbours, attacks, faults = {}, {}, {}, {}
  for i, script in ipairs(scripts) do
    neighbours[i] = "neighbour of " .. script.name
    attacks[2 * i] = script.name
    lines[2 * i - 1], lines[2 * i] = neighbours[i], self.canary:message(script.name, self:told())
  end
  local function fault(text) faults[#faults + 1] = text end
  local results, letters = self:through(lines)
  judge(results, letters, neighbours, attacks, fault)
  self:renew(fault)
  self:look_around(fault)
  return faults
end

return escape
