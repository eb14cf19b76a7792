-- SPDX-License-Identifier: MIT
-- run/revision.lua: a later revision of the transforms, in the process that is to become its zygote. It was forked by a
-- copy of the engine that has run no user code (engine/proc/forker.h), so the plan that it is given is that of the
-- start, and everything that was loaded since is new to it. It reads the pipeline file as the engine did then, outside
-- of the sandbox, and goes on as any zygote does.
local ffi = require("ffi")
local library = require("tidemill.run.ffi")
local worker = require("tidemill.run.worker")
local C = library.C

local revision = {}

--- Never returns. plan: with revise, a function without arguments that returns the plan anew, a text that its files are
--- known by, and why it cannot take the place of the first one (nil when it can); or nil and the reason.
function revision.main(zygote, engine, plan)
  C.tide_environment_forget(plan.c.secret_variables, plan.c.secret_variable_count)
  C.tide_zygote_loading(zygote, plan.file)
  local done, revised, mark, misfit = pcall(plan.revise)
  local reason = not done and tostring(revised) or not revised and mark or nil
  if reason then C.tide_zygote_loaded(zygote, reason, false) end
  C.tide_zygote_leave_unchanged(zygote, mark)
  if misfit then C.tide_zygote_loaded(zygote, misfit, false) end
  C.tide_zygote_set_mark(zygote, mark)
  revised.warn = plan.warn
  C.tide_zygote_confine(zygote, ffi.cast("struct tide_plan_sandbox *", revised.c.sandbox))
  worker.main(zygote, engine, revised)
end

return revision
