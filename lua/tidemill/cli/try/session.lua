-- SPDX-License-Identifier: MIT
-- cli/try/session.lua: the pipeline that messages are tried in. It runs as in production, in worker processes over real
-- blocks; only source, sink and clock are ours (tidemill.testing). What becomes of a message is told by a tap
-- (run/tap.lua), which looks at every step.
local metrics = require("tidemill.metrics")
local pipeline_file = require("tidemill.plan.pipeline_file")
local taps = require("tidemill.run.tap")
local testing = require("tidemill.testing")
local C = require("tidemill.run.ffi").C

local session = {}
local Session = {}
Session.__index = Session

local VALUE_LIMIT, RATE = 1048576, 10000 -- all of it, as good as
local TURN = 0.005 -- seconds

--- options: set (the values of --set), trust (--trust), message_timeout (microseconds), tables (paths by name).
--- Nothing is loaded yet.
function session.new(path, options)
  return setmetatable({ path = path, options = options }, Session)
end

local function close(self)
  if self.test then self.test:close() end
  self.test, self.tap = nil, nil
end
Session.close = close

--- Loads the pipeline anew. True, or nil, the texts of what is wrong, and the exit code.
function Session:load()
  close(self)
  local pipeline, texts, code = pipeline_file.load(self.path, self.options.set, self.options.trust)
  if not pipeline then return nil, texts, code end
  self.pipeline = pipeline
  local problem
  self.test, problem = testing.open(pipeline, { partitions = 1, message_timeout = self.options.message_timeout,
    tables = self.options.tables })
  if not self.test then return nil, { problem }, 78 end
  self.tap = assert(taps.arm(self.test.engine, { rate = RATE, value_limit = VALUE_LIMIT }))
  self.steps = #metrics.task_rows(self.test.plan)
  self.spoilt = false
  return true
end

-- How long the steps may wait for more messages before they run those that they have, in microseconds.
local function longest_wait(self)
  local longest = 0
  for _, step in ipairs(self.test.plan.tables.steps) do longest = math.max(longest, step.max_batch_time_us or 0) end
  return longest
end

-- Turns until nothing gets on any more: one turn may only take in what the next one goes on with, so two have to be
-- quiet (tidemill.testing). True, or nil and why the pipeline has ended.
local function settle(self)
  local quiet = 0
  repeat
    local event = self.test.engine:run(quiet == 0 and TURN or 0)
    if event.kind == "failed" or event.kind == "done" then return nil, event.text end
    quiet = event.kind == "nothing" and self.test:is_quiet() and quiet + 1 or 0
  until quiet == 3
  return true
end

-- A metric, summed over the steps.
local function counter(self, name)
  return self.test.engine:counter(metrics.task_rows(self.test.plan), "TIDE_M_" .. name)
end

local function samples_of(self)
  local samples = {}
  for line in function() return self.tap:take() end do samples[#samples + 1] = line end
  return samples
end

--- Runs one message (as tidemill.testing takes it). Returns the samples as JSON lines, in order, and the seconds that
--- functions took; or nil and the text of what went wrong.
function Session:run(message)
  if self.spoilt then
    local loaded, texts = self:load()
    if not loaded then return nil, table.concat(texts, "\n") end
  end
  local before, retries = counter(self, "MESSAGE_TIME").sum, counter(self, "MESSAGE_RETRY").count
  message.topic = self.test:topic_of(message.topic)
  self.test:push(message)
  local settled, problem = settle(self)
  -- What a step that waits for more messages has is run as after max_batch_time, which nobody has to wait for.
  for _ = 1, self.steps do
    local waits = settled and self.test:totals().in_flight > 0 and counter(self, "MESSAGE_RETRY").count == retries
    if not waits then break end
    C.tide_clock_advance(longest_wait(self) + 1)
    settled, problem = settle(self)
  end
  if not settled then
    self.spoilt = true
    return nil, problem
  end
  -- A message that waits to be tried again would hold up the next one.
  self.spoilt = self.test:totals().in_flight > 0
  return samples_of(self), counter(self, "MESSAGE_TIME").sum - before
end

return session
