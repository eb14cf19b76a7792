-- SPDX-License-Identifier: MIT
-- plan/pipeline_file.lua reads a pipeline file and checks all of it: names, values, and the order of steps. All faults
-- are gathered, so that the user sees them at once. Start reading at pipeline_file.load.
local ffi = require("ffi")
local engines = require("tidemill.plan.engines")
local exit_code = require("tidemill.plan.exit_code")
local environment = require("tidemill.run.environment")
local hardened = require("tidemill.run.hardened")
local list = require("tidemill.steps.list")
local declaration = require("tidemill.plan.declaration")
local posix = require("tidemill.run.posix")
local schema = require("tidemill.plan.schema")
local session = require("tidemill.plan.session")
local text_file = require("tidemill.plan.text_file")
local step_order = require("tidemill.plan.step_order")

local pipeline_file = {}

local COMPILED = 27 -- the first byte of LuaJIT's bytecode

-- A third of the longest time-out of a transaction that brokers take, in microseconds.
local LONGEST_TRANSACTION = 300e6

--- Returns the folder of a file, "." when its path names none.
function pipeline_file.folder(path)
  return path:match("^(.*)/[^/]*$") == "" and "/" or path:match("^(.*)/[^/]*$") or "."
end

-- Returns where a symbolic link leads to, by one step; nil when the file is none.
local function read_link(path)
  local target = ffi.new("char[4096]")
  local length = tonumber(posix.readlink(path, target, 4096))
  return length > 0 and pipeline_file.resolve(pipeline_file.folder(path), ffi.string(target, length)) or nil
end

--- Returns the file itself for a symbolic link to it: a pipeline that is linked to from elsewhere ("current", a bin
--- folder) still finds the transform that lies beside it.
function pipeline_file.followed(path)
  for _ = 1, 40 do -- as many as the kernel follows
    local target = read_link(path)
    if not target then return path end
    path = target
  end
  return path
end

--- Returns a path as seen from the folder of the pipeline file.
function pipeline_file.resolve(folder, path)
  if path:sub(1, 1) == "/" or folder == "." then return path end
  return folder .. "/" .. path
end

local function read(path)
  local text, reason = text_file.read(path)
  if not text then return nil, reason end
  return (text:gsub("^#[^\n]*", ""))
end

-- Lua shortens a long path at the front of its errors: the path goes back as the user gave it.
local function with_path(path, message)
  if type(message) ~= "string" then return path .. ": error without text (a " .. type(message) .. ")" end
  local chunk, line, text = message:match("^(.-):(%d+): (.*)$")
  if chunk and (chunk == path or chunk:sub(1, 3) == "..." and path:sub(-#chunk + 3) == chunk:sub(4)) then
    return path .. ":" .. line .. ": " .. text
  end
  return message
end

-- Runs the file while `current` gathers. Returns the pipeline's declaration, or nil and the text of a Lua error.
local function run(chunk, current)
  session.current = current
  local done, result = xpcall(chunk, function(message) return message end)
  session.current = nil
  if not done then return nil, result end
  return result
end

local function check_result(result, path, current)
  if declaration.is(result) and result.spec.name == "pipeline" then return true end
  if session.is_absent(result) and #current.faults > 0 then return false end
  current:fault({ file = path }, 'must return tide.pipeline "name" { ... }; it returned %s',
    declaration.is(result) and tostring(result) or type(result))
  return false
end

-- Checks the tables of topics that the file declares.
local function check_tables(current)
  local list_of, known = {}, {}
  for i, use in ipairs(current.tables) do
    local name = use.table_name
    list_of[i] = schema.check(use, current)
    list_of[i].values.name = name
    if known[name] then current:fault(use, 'tide.table "%s": is declared twice', name) end
    if #name > 100 or not name:match "^[%w_][%w_.-]*$" then
      current:fault(use, 'tide.table "%s": a name has letters, digits, "_", "." and "-", 100 at most', name)
    end
    known[name] = true
  end
  return list_of
end

-- Checks all declarations that the pipeline uses, each once.
local function check_declarations(pipeline, current)
  local checked = {}
  local function check(use)
    checked[use] = checked[use] or schema.check(use, current)
    return checked[use]
  end
  local options = {}
  for name, value in pairs(pipeline.arguments) do
    if type(name) == "string" then options[name] = value end
  end
  local settings = schema.check({ spec = list.pipeline, arguments = options, file = pipeline.file,
    line = pipeline.line }, current)
  local steps = {}
  for i, use in ipairs(step_order.check(pipeline, current)) do
    steps[i] = check(use)
    if declaration.is(steps[i].values.pool) then steps[i].values.pool = check(steps[i].values.pool) end
  end
  local dlq = settings.values.dlq and check(settings.values.dlq)
  local metrics = settings.values.metrics and check(settings.values.metrics)
  -- A pipeline that says nothing of it has the defaults.
  local reload = check(settings.values.reload or { spec = list.reload, arguments = {}, file = pipeline.file,
    line = pipeline.line })
  return { name = pipeline.name, settings = settings, steps = steps, dlq = dlq, metrics = metrics, reload = reload,
    declaration = pipeline, tables = check_tables(current) }
end

local function find(steps, kind)
  for _, step in ipairs(steps) do
    if step.spec.kind == kind then return step end
  end
end

-- Checks what concerns several steps.
local function check_across(pipeline, current)
  local source, sink, dlq = find(pipeline.steps, "source"), find(pipeline.steps, "sink"), pipeline.dlq
  local topic = dlq and dlq.values.topic
  local on_kafka = source and source.name == "kafka_source" or sink and sink.name == "produce"
  if topic and not on_kafka then
    current:fault(dlq.declaration,
      'option "topic" = "%s": the pipeline has neither kafka_source nor produce, so there are '
      .. "no brokers to write it to; say path = FILE", topic)
  end
  local read_topics = source and (source.values.topics or { source.values.topic }) or {}
  for _, name in ipairs(read_topics) do
    if topic == name then
      current:fault(dlq.declaration,
        'option "topic" = "%s": the pipeline reads it, so a dead letter would come back for '
        .. "ever; name another topic", topic)
    end
  end
  if sink and sink.name == "produce" and source and source.name ~= "kafka_source" and not sink.given.brokers then
    current:fault(sink.declaration, 'option "brokers": missing; the source is no Kafka to take them from')
  end
  local count = pipeline.settings.values.engines
  if not count or count == 1 then return end
  engines.check(pipeline, function(where, text)
    current:fault(where, 'option "engines" = %s: %s', tostring(count), text)
  end)
end

-- One transaction takes outputs, dead letters and offsets, so all of them must go to one Kafka.
local function check_delivery(pipeline, current)
  if pipeline.settings.values.delivery ~= "exactly_once" then return end
  local source, sink, dlq = find(pipeline.steps, "source"), find(pipeline.steps, "sink"), pipeline.dlq
  local function fault(step, text, ...)
    local where = (step or pipeline).declaration
    current:fault(where, 'option "delivery" = "exactly_once": ' .. text, ...)
  end
  if source and source.name ~= "kafka_source" then fault(source, "needs kafka_source, not %s", source.name) end
  if not sink or sink.name ~= "produce" then
    fault(sink, "needs produce, %s", sink and "not " .. sink.name or "and there is no sink")
  elseif sink.given.brokers and source and sink.values.brokers ~= source.values.brokers then
    fault(sink, "the offsets are the source's, so produce must write to its brokers; leave out brokers")
  end
  if dlq and dlq.values.path then fault(dlq, "dead letters are part of the transaction; say dlq topic, not path") end
  local commit = find(pipeline.steps, "commit")
  local policy = commit and commit.values.policy
  if type(policy) == "table" and (policy.min_time or 0) > LONGEST_TRANSACTION then
    fault(commit, "policy.min_time: a transaction may be open for 5min at the most")
  end
  if not commit then
    fault(nil, "needs commit_offsets: its policy says when a transaction ends")
  end
end

-- Checks that transform files can be read: a missing one is found now, not when the workers start.
local function check_files(pipeline, current)
  for _, step in ipairs(pipeline.steps) do
    for _, item in ipairs(step.values.functions or {}) do
      if type(item) == "table" then
        item.path = pipeline_file.resolve(pipeline.folder, item.path)
        local text, reason = read(item.path)
        if not text then current:fault(step.declaration, "transform cannot be read: %s", reason) end
      end
    end
  end
end

local function failed(status, texts)
  return nil, texts, status
end

--- Checks what a pipeline file returned; `path` is the file, `folder` where its paths start from, `current` the
--- session; `globals` (optional) those of the file, which its transforms see. As pipeline_file.load.
function pipeline_file.check(result, path, folder, current, globals)
  if not check_result(result, path, current) then return failed(exit_code.CONFIG, current:fault_texts()) end
  local pipeline = check_declarations(result, current)
  pipeline.file, pipeline.folder, pipeline.globals, pipeline.secrets = path, folder, globals, current.secrets
  pipeline.lookups = current.lookups
  check_across(pipeline, current)
  check_delivery(pipeline, current)
  check_files(pipeline, current)
  if #current.faults > 0 then return failed(exit_code.CONFIG, current:fault_texts()) end
  return pipeline
end

-- Runs the file with globals for a level of trust, and checks what it returned.
local function evaluate(chunk, path, set, trust)
  local current, folder = session.new(set), pipeline_file.folder(pipeline_file.followed(path))
  local globals = environment.new(folder, nil, trust)
  local before = hardened.switch(trust == "hardened")
  local result, message = run(setfenv(chunk, globals), current)
  hardened.switch(before)
  if message ~= nil then
    local texts = current:fault_texts()
    texts[#texts + 1] = with_path(path, message)
    return failed(exit_code.CONFIG, texts)
  end
  local unasked = current:unasked()
  if #unasked > 0 then return failed(exit_code.USAGE, unasked) end
  return pipeline_file.check(result, path, folder, current, globals)
end

--- Reads and checks a pipeline file. `set`: the values of --set by name; `trust` (optional): the level of trust in
--- place of the one that the file says. The functions of a file that is hardened are made with the globals of that
--- level: when only the file itself says so, it is run once more.
--- Returns the checked pipeline { name, file, folder, globals, secrets, settings, steps, dlq }, or nil, the texts of
--- all faults and the exit code.
function pipeline_file.load(path, set, trust)
  local text, reason = read(path)
  if not text then return failed(exit_code.NO_INPUT, { reason }) end
  if text:byte() == COMPILED then
    return failed(exit_code.CONFIG, { path .. ": is compiled Lua, which nothing checks; give the file with its text" })
  end
  local chunk, broken = load(text, "@" .. path, "t")
  if not chunk then return failed(exit_code.CONFIG, { with_path(path, broken) }) end
  local pipeline, texts, status = evaluate(chunk, path, set, trust or "standard")
  if pipeline and not trust and pipeline.settings.values.trust == "hardened" then
    pipeline, texts, status = evaluate(chunk, path, set, "hardened")
  end
  if pipeline then pipeline.settings.values.trust = trust or pipeline.settings.values.trust end
  return pipeline, texts, status
end

return pipeline_file
