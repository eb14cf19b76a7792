-- SPDX-License-Identifier: MIT
-- metrics/profile_request.lua: answers GET /profile?step=1&worker=0&seconds=5 with the profile of a worker, as
-- run/profile.lua writes it, behind a line "step" with its number in the plan; or with a line "error", the
-- exit code and the reason, with tabs between them. A part of the observer.
local exit_code = require("tidemill.plan.exit_code")
local metrics = require("tidemill.metrics")
local profiling = require("tidemill.metrics.profiling")
local tide = require("tidemill.run.ffi")

local profile_request = {}
profile_request.__index = profile_request

local MOST_SECONDS = 300

local function now()
  return tonumber(tide.C.tide_clock_us()) / 1e6
end

local function number_of(query, name, default, least, most)
  local text = query[name]
  if text == nil then return default end
  local number = tonumber(text)
  if number and number >= least and number <= most then return number end
  return nil, ("%s=%s: must be a number from %g to %g"):format(name, text:gsub("%c", "?"):sub(1, 40), least, most)
end

--- The pool (from 0), the worker (from 0) and the number of the step in the plan that are meant, or nil and the
--- reason. step: which of the steps that have workers, from 1; worker: of that step, from 0.
function profile_request.find(plan, step, worker)
  local rows = metrics.task_rows(plan)
  if #rows == 0 then return nil, "no step of this pipeline has workers" end
  if not rows[step] or step % 1 ~= 0 then
    return nil, ("there is no step %g with workers; there %s"):format(step,
      #rows == 1 and "is one, step 1" or ("are %d"):format(#rows))
  end
  local pool = plan.tables.steps[rows[step]].pool
  local processes = plan.tables.pools[pool + 1]
  if worker % 1 ~= 0 or worker < 0 or worker >= processes then
    return nil, ("step %d has no worker %g; they are numbered from 0 to %d"):format(step, worker, processes - 1)
  end
  return pool, worker, rows[step]
end

-- The profile that a request asks for, or nil and the reason.
local function begun(self, query)
  local step, worker, seconds, reason
  step, reason = number_of(query, "step", 1, 1, 100)
  if step then worker, reason = number_of(query, "worker", 0, 0, 10000) end
  if worker then seconds, reason = number_of(query, "seconds", 5, 0.1, MOST_SECONDS) end
  if not seconds then return nil, reason end
  local pool, index, row = profile_request.find(self.observer.plan, step, worker)
  if not pool then return nil, index end
  return { row = row, profile = profiling.new(self.observer.engine, pool, index, seconds, now) }
end

local function failure(code, reason)
  return ("error\t%d\t%s\n"):format(code, reason)
end

local function take(self, request)
  local made, reason = begun(self, request.query)
  if made then
    self.open[request] = made
    return
  end
  request:write(failure(exit_code.USAGE, reason))
  request:finish()
end

function profile_request.new(observer)
  if not observer.server then return nil end
  local self = setmetatable({ observer = observer, open = {} }, profile_request)
  observer:live("/profile", function(request) take(self, request) end, "text/plain")
  return self
end

local function answer(self, request, text)
  self.open[request].profile:forget()
  self.open[request] = nil
  request:write(text)
  request:finish()
end

-- A client that has left wants no answer, and the worker is free for the next one.
function profile_request:turn()
  for request, open in pairs(self.open) do
    local text, reason
    if request:write("") == "gone" then text = "" else text, reason = open.profile:turn() end
    if text then
      answer(self, request, ("step\t%d\n"):format(open.row) .. text)
    elseif text == false then
      answer(self, request, failure(exit_code.TEMPORARY, reason))
    end
  end
end

function profile_request:finish()
  for request in pairs(self.open) do
    answer(self, request, failure(exit_code.TEMPORARY, "the run ended while the worker was profiled"))
  end
end

return profile_request
