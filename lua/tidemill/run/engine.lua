-- SPDX-License-Identifier: MIT
-- run/engine.lua: an engine as a Lua object, for the program and for specs: new builds it, start connects it, run turns
-- its loop, close lets it come to an end, free releases it. It only wraps engine/tidemill.h, which has the contracts.
local ffi = require("ffi")
local library = require("tidemill.run.ffi")
local C = library.C

local engine = {}
engine.__index = engine

local kinds = {
  [C.TIDE_EVENT_NOTHING] = "nothing", [C.TIDE_EVENT_SECOND] = "second", [C.TIDE_EVENT_ASSIGNED] = "assigned",
  [C.TIDE_EVENT_REVOKED] = "revoked", [C.TIDE_EVENT_LOST] = "lost", [C.TIDE_EVENT_WORKER_LOST] = "worker_lost",
  [C.TIDE_EVENT_SIGNAL] = "signal",
  [C.TIDE_EVENT_RELOADED] = "reloaded", [C.TIDE_EVENT_RELOAD_FAILED] = "reload_failed",
  [C.TIDE_EVENT_RELOAD_UNCHANGED] = "reload_unchanged", [C.TIDE_EVENT_RELOAD_KEPT] = "reload_kept",
  [C.TIDE_EVENT_RELOAD_ROLLED_BACK] = "reload_rolled_back",
  [C.TIDE_EVENT_DONE] = "done", [C.TIDE_EVENT_FAILED] = "failed",
}

local function failure(status)
  return nil, library.error(), tonumber(status)
end

--- Builds the chain, forks the zygote (the child never returns) and waits until the zygote has loaded the user's code.
--- plan: c (struct tide_plan), functions, folder, file, topics, globals (optional: those that transform files begin
--- with), warn (optional: takes a text about a transform; called in the zygote), revise (optional: returns the plan
--- anew, for a reload: run/revision.lua). On failure nil, text, status; the status is -128 - n when signal n asked to
--- stop meanwhile.
function engine.new(plan)
  local status = ffi.new "int[1]"
  local handle = C.tide_engine_new(plan.c, status)
  if handle == nil then return failure(status[0]) end
  if next(plan.functions) then
    local zygote = ffi.new "struct tide_zygote *[1]"
    io.stdout:flush()
    local pid = C.tide_engine_fork(handle, zygote)
    if pid == 0 then
      if C.tide_zygote_revision(zygote[0]) > 1 then require("tidemill.run.revision").main(zygote[0], handle, plan) end
      require("tidemill.run.worker").main(zygote[0], handle, plan)
    end
    local answer = pid < 0 and pid or C.tide_engine_ready(handle)
    if answer ~= 0 then
      local _, text = failure(answer)
      if answer > 0 then text, answer = "stopped by a signal while the transforms were loaded", -128 - answer end
      C.tide_engine_free(handle)
      return nil, text, answer
    end
  end
  local self = setmetatable({ handle = ffi.gc(handle, C.tide_engine_free), plan = plan,
    event = ffi.new "struct tide_event" }, engine)
  if plan.give_rows then
    local given, text, code = plan.give_rows(function(...) return self:put_row(...) end)
    if not given then
      self:free()
      return nil, text, -code
    end
  end
  return self
end

--- Gives table `number` (from 0) a row, in place of its topic; a `value` of nil deletes it. True, or nil, text, status.
function engine:put_row(number, key, value)
  local status = C.tide_engine_table_row(self.handle, number, key, #key, value, value and #value or 0)
  if status == 0 then return true end
  if status > 0 then return nil, "the memory of the table is full of rows that are still read", status end
  return failure(status)
end

-- An array of { name =, value = } as struct tide_property[]; `keep` anchors the strings.
local function properties(list, keep)
  local array = ffi.new("struct tide_property[?]", #list + 1)
  for i, property in ipairs(list) do
    array[i - 1].name, array[i - 1].value = property.name, property.value
    keep[#keep + 1] = property
  end
  return array, #list
end

-- The properties of both sides as struct tide_connection; `keep` anchors what it borrows.
local function connection_of(sides, keep)
  local c = ffi.new "struct tide_connection"
  for _, side in ipairs { "source", "sink", "tables", "changelog" } do
    local count
    keep[side], count = properties(sides and sides[side] or {}, keep)
    c[side], c[side:gsub("s$", "") .. "_count"] = keep[side], count
  end
  return c
end

--- Connects and begins to read. connection: source, sink and changelog (may be nil), arrays of librdkafka properties
--- with the secrets.
function engine:start(connection)
  local keep = {}
  local status = C.tide_engine_start(self.handle, connection_of(connection, keep))
  if status < 0 then return failure(status) end
  return true
end

--- Instead of start: checks whether librdkafka takes the properties together. True, or nil, text, status.
function engine:try(connection)
  local keep = {}
  local status = C.tide_engine_try(self.handle, connection_of(connection, keep))
  if status < 0 then return failure(status) end
  return true
end

local OUTCOME = { reloaded = "done", reload_failed = "failed", reload_unchanged = "unchanged",
  reload_rolled_back = "rolled_back" }

local TOLD = { reload_failed = true, reload_rolled_back = true }

-- Keeps what became of the last reload, for those who show it.
local function note_reload(self, event)
  local last = self.last_reload
  self.last_reload = { number = last and last.number + 1 or 1, outcome = OUTCOME[event.kind],
    time = tonumber(C.tide_clock_wall_ms()), text = TOLD[event.kind] and event.text or nil }
end

--- Turns the loop until something has happened or `timeout` seconds have passed.
function engine:run(timeout)
  local event = self.event
  local status = C.tide_engine_run(self.handle, (timeout or 1) * 1e6, event)
  if status < 0 then return { kind = "failed", status = status, number = 0, text = library.error() } end
  local kind = kinds[tonumber(event.kind)]
  local found = { kind = kind, status = event.status, number = event.number, text = ffi.string(event.text) }
  if OUTCOME[kind] then note_reload(self, found) end
  return found
end

--- Runs until done or failed; `each` (optional) is called with every event before that.
function engine:finish(each, timeout)
  local deadline = timeout and os.time() + timeout
  while true do
    local event = self:run(0.5)
    if event.kind == "done" or event.kind == "failed" then return event end
    if each then each(event) end
    if deadline and os.time() > deadline then return { kind = "timeout" } end
  end
end

function engine:close()
  C.tide_engine_close(self.handle)
end

--- Opens the files of output and dead letters again at their paths, after a log rotation. True, or nil, text, status.
function engine:reopen()
  local status = C.tide_engine_reopen(self.handle)
  if status < 0 then return failure(status) end
  return true
end

--- Has the pipeline file and its transforms loaded anew; an event tells how that ended: "reloaded" (number: the
--- revision; text: its mark), "reload_failed" (status, text), "reload_unchanged"; and another one what became of it
--- then: "reload_kept", "reload_rolled_back" (number: of the revision that runs again; text: why). known: the mark of
--- what is loaded; nil = load it in any case. True, or nil, text, status. "later" when one is under way: then another
--- one follows it. canary: { share, compare }, a share of the batches that is run by both before; nil = as the plan
--- says.
function engine:reload(known, canary)
  local asked = canary and ffi.new("struct tide_canary_plan", canary)
  local status = C.tide_engine_reload(self.handle, known or "", asked)
  if status < 0 then return failure(status) end
  return status == 0 or "later"
end

-- Of the canary that is under way { share, compared, differing, rejected } (struct tide_canary_seen); nil = there is
-- none.
local function canary_of(self)
  local seen = ffi.new "struct tide_canary_seen"
  if not C.tide_engine_canary(self.handle, seen) then return nil end
  return { share = seen.share, compared = tonumber(seen.compared), differing = tonumber(seen.differing),
    rejected = tonumber(seen.rejected) }
end

--- The revision of the transforms that runs, from 1, and of the reload { state = "none", "loading", ..., canary = (see
--- above), last = { number (from 1), outcome = "done", "failed", "unchanged" or "rolled_back", text (why), time
--- (milliseconds since the epoch) } }; last is nil before the first one.
function engine:revision()
  return C.tide_engine_revision(self.handle), { state = ffi.string(C.tide_engine_reload_state_name(self.handle)),
    canary = canary_of(self), last = self.last_reload }
end

--- The fields of struct tide_totals as Lua numbers.
function engine:totals()
  local c, totals = ffi.new "struct tide_totals", {}
  C.tide_engine_totals(self.handle, c)
  for _, name in ipairs { "read", "produced", "produced_from", "filtered", "dead_lettered", "dropped", "in_flight",
    "seconds", "lag", "lag_seconds" } do
    totals[name] = tonumber(c[name])
  end
  return totals
end

-- By the names of the constants; LuaJIT would look each up at every call.
local metric_numbers = setmetatable({}, { __index = function(known, metric)
  local number = type(metric) == "string" and tonumber(C[metric]) or tonumber(metric)
  known[metric] = number
  return number
end })

--- The values of a metric. `metric` is a TIDE_M_* constant; row 0 is the engine, row n the n-th step; for an array of
--- rows they are summed.
function engine:counter(rows, metric)
  local counters, number = C.tide_engine_counters(self.handle), metric_numbers[metric]
  local counter
  if type(rows) == "table" then
    counter = ffi.new "struct tide_counter"
    for _, row in ipairs(rows) do C.tide_counter_add(counter, C.tide_counters_get(counters, row, number)) end
  else
    counter = C.tide_counters_get(counters, rows, number)
  end
  return { count = tonumber(counter.count), sum = counter.sum, min = counter.min, max = counter.max,
    last = counter.last, p50 = C.tide_counter_quantile(counter, 0.5), p99 = C.tide_counter_quantile(counter, 0.99) }
end

--- The lag by partition: an array of { topic, partition, messages, seconds }, of which the last two are nil while they
--- are unknown. Partitions that went to another engine are left out.
function engine:lags()
  local list, lag, index = {}, ffi.new "struct tide_lag", 0
  local function known(value) return value >= 0 and tonumber(value) or nil end
  while C.tide_engine_lag(self.handle, index, lag) do
    if lag.messages >= 0 or lag.seconds >= 0 then
      list[#list + 1] = { topic = ffi.string(C.tide_topics_name(C.tide_engine_topics(self.handle), lag.topic)),
        partition = lag.partition, messages = known(lag.messages), seconds = known(lag.seconds) }
    end
    index = index + 1
  end
  return list
end

--- What became of bad messages: { total, reasons = { [reason] = number of messages }, last = array of up to ten { time
--- (ms since the epoch), topic, partition, offset, stage, reason, error }, the newest first }. All texts are UTF-8.
function engine:dead_letters()
  local recent = C.tide_engine_dead_letters(self.handle)
  local total, reasons, last = tonumber(recent.total), {}, {}
  for i = 0, C.TIDE_DLQ_REASONS - 1 do
    local count = tonumber(recent.reasons[i])
    if count > 0 then reasons[ffi.string(C.tide_dlq_recent_reason(i))] = count end
  end
  for number = total - 1, math.max(0, total - C.TIDE_DLQ_RECENT), -1 do
    local letter = recent.letters[number % C.TIDE_DLQ_RECENT]
    last[#last + 1] = { time = tonumber(letter.time_ms), topic = ffi.string(letter.topic), partition = letter.partition,
      offset = tonumber(letter.offset), stage = ffi.string(letter.stage), reason = ffi.string(letter.reason),
      error = ffi.string(letter.error) }
  end
  return { total = total, reasons = reasons, last = last }
end

--- The slowest messages of the last minute, the slowest first: an array of { topic, partition, offset, seconds (at
--- least), age (seconds since a worker was seen at it), row (of the counters of its step), messages (when a function
--- had a whole batch at once: how many; then the offset is that of the first of them) }.
function engine:slow_messages()
  local found = ffi.new("struct tide_slow_message[?]", C.TIDE_SLOW_MESSAGES)
  local list, now = {}, tonumber(C.tide_clock_us())
  for i = 0, C.tide_engine_slow_messages(self.handle, found) - 1 do
    local slow = found[i]
    list[#list + 1] = { topic = ffi.string(C.tide_topics_name(C.tide_engine_topics(self.handle), slow.topic)),
      partition = slow.partition, offset = tonumber(slow.offset), seconds = tonumber(slow.time_us) / 1e6,
      age = math.max(0, now - tonumber(slow.seen_us)) / 1e6, row = slow.step + 1,
      messages = slow.whole > 0 and slow.whole or nil }
  end
  return list
end

--- The message that has been tried again for longest in the step of a row: { topic, partition, offset, seconds (since
--- its first try), messages (that wait: it, and those after it) }; nil when none waits for tide.retry.
function engine:retry_wait(row)
  local wait = ffi.new("struct tide_retry_wait")
  if not C.tide_engine_retry_wait(self.handle, row, wait) then return nil end
  return { topic = ffi.string(C.tide_topics_name(C.tide_engine_topics(self.handle), wait.topic)),
    partition = wait.partition, offset = tonumber(wait.offset), messages = wait.messages,
    seconds = math.max(0, tonumber(C.tide_clock_us() - wait.since_us) / 1e6) }
end

local PROFILE = { [C.TIDE_PROFILE_NONE] = "none", [C.TIDE_PROFILE_SAMPLING] = "sampling",
  [C.TIDE_PROFILE_ENDING] = "ending", [C.TIDE_PROFILE_DONE] = "done", [C.TIDE_PROFILE_ABANDONED] = "abandoned",
  [C.TIDE_PROFILE_LOST] = "lost" }

--- Has a worker (pool and index from 0) sample what it runs, for `seconds` at most. False: not now.
function engine:profile_begin(pool, index, seconds)
  return C.tide_engine_profile_begin(self.handle, pool, index, seconds * 1e6) == 0
end

--- Has it answer. False: not now.
function engine:profile_end(pool, index)
  return C.tide_engine_profile_end(self.handle, pool, index) == 0
end

--- The state of the profile (proc/profile.h); of one that is done its text too, which a worker wrote.
function engine:profile(pool, index)
  local bytes, size = ffi.new "const char *[1]", ffi.new "size_t[1]"
  local state = PROFILE[tonumber(C.tide_engine_profile(self.handle, pool, index, bytes, size))]
  return state, state == "done" and ffi.string(bytes[0], size[0]) or nil
end

function engine:profile_forget(pool, index)
  C.tide_engine_profile_forget(self.handle, pool, index)
end

--- The name of the state of the run, as "reading" (engine_inside.h has the table).
function engine:state()
  return ffi.string(C.tide_engine_state_name(self.handle))
end

function engine:rows()
  return C.tide_counters_rows(C.tide_engine_counters(self.handle))
end

function engine:zygote_pid()
  return C.tide_engine_zygote_pid(self.handle)
end

--- The process id of worker `index` (from 0) of a pool (from 0); nil while there is none.
function engine:worker_pid(pool, index)
  local pid = C.tide_engine_worker_pid(self.handle, pool, index)
  return pid > 0 and pid or nil
end

local SEEN = { [0] = "starting", "idle", "running", "ending" }

--- What is to be seen of worker `index` (from 0) of a pool (from 0): { pid, in_use, state = "starting", "idle",
--- "running" or "ending", busy_us, messages, lost }; nil past the last of either. Totals are those of all workers of
--- the slot.
function engine:worker(pool, index)
  local view = ffi.new "struct tide_worker_view"
  if not C.tide_engine_worker(self.handle, pool, index, view) then return nil end
  return { pid = view.pid > 0 and view.pid or nil, in_use = view.in_use, state = SEEN[tonumber(view.state)],
    busy_us = tonumber(view.busy_us), messages = tonumber(view.messages), lost = tonumber(view.lost) }
end

--- The lookup tables: an array of { name (the path), rows, bytes, time (seconds that reading took), read
--- (milliseconds since the epoch), reads, errors, problem (of the last reading; nil when it succeeded) }.
function engine:lookups()
  local list, view = {}, ffi.new "struct tide_lookup_view"
  while C.tide_engine_lookup(self.handle, #list, view) do
    list[#list + 1] = { name = ffi.string(view.name), rows = tonumber(view.rows), bytes = tonumber(view.bytes),
      time = tonumber(view.time_us) / 1e6, read = tonumber(view.read_ms), reads = tonumber(view.reads),
      errors = tonumber(view.errors), problem = view.problem[0] ~= 0 and ffi.string(view.problem) or nil }
  end
  return list
end

--- The tables of topics: an array of { name, rows, bytes, read (messages), invalid, lag (offsets to come; nil while
--- that is not known), ready }.
function engine:tables()
  local list, view = {}, ffi.new "struct tide_engine_table_view"
  while C.tide_engine_table(self.handle, #list, view) do
    list[#list + 1] = { name = ffi.string(view.name), rows = tonumber(view.rows), bytes = tonumber(view.bytes),
      read = tonumber(view.read), invalid = tonumber(view.invalid), ready = view.ready,
      lag = view.lag >= 0 and tonumber(view.lag) or nil }
  end
  return list
end

local SIZES = { "max_batch_size", "processes", "max_batch_time_us", "input_block_size", "output_block_size" }

--- The sizes that hold now for the step in a row of the counters: { max_batch_size, processes, max_batch_time_us,
--- input_block_size, output_block_size }; nil for a row without workers.
function engine:sizes(row)
  local c, sizes = ffi.new "struct tide_sizes", {}
  if not C.tide_engine_get_sizes(self.handle, row, c) then return nil end
  for _, name in ipairs(SIZES) do sizes[name] = tonumber(c[name]) end
  return sizes
end

--- Changes the sizes that are named; the others stay. True, or nil, text, status when one is out of its range.
function engine:set_sizes(row, changes)
  local c = ffi.new "struct tide_sizes"
  C.tide_engine_get_sizes(self.handle, row, c)
  for name, value in pairs(changes) do c[name] = value end
  local status = C.tide_engine_set_sizes(self.handle, row, c)
  if status < 0 then return failure(status) end
  return true
end

function engine:free()
  if self.handle then C.tide_engine_free(ffi.gc(self.handle, nil)) end
  self.handle = nil
end

return engine
