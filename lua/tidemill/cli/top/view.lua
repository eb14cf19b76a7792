-- SPDX-License-Identifier: MIT
-- cli/top/view.lua: shows a snapshot of a pipeline (metrics/snapshot.lua) as lines for a terminal. It is a pure
-- function, so that specs can look at it: the same snapshot and size always make the same lines. cli/top/layout.lua has
-- the form of lines and sections. Start reading at view.lines.
local layout = require("tidemill.cli.top.layout")
local text = require("tidemill.cli.top.text")
local units = require("tidemill.plan.units")

local view = {}

local WIDE = 110 -- columns from which on lists stand beside the steps
local LABEL = 14 -- columns of the labels of a step

local line = layout.line

-- ---- numbers ----

local function number(value)
  if not value then return "?" end
  if value ~= 0 and math.abs(value) < 9.95 and value % 1 ~= 0 then return ("%.1f"):format(value) end
  return units.show_count(value)
end

local function percent(share)
  return share and ("%.0f %%"):format(share * 100) or "?"
end

-- "3 d 04:05:06"
local function duration(seconds)
  seconds = math.floor(seconds)
  local days = math.floor(seconds / 86400)
  local clock = ("%02d:%02d:%02d"):format(seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
  return days > 0 and ("%d d %s"):format(days, clock) or clock
end

local function seconds(value)
  if not value then return "?" end
  if value >= 600 then return duration(value) end
  if value > 0 and value < 0.1 then return ("%.1f ms"):format(value * 1000) end
  return ("%.1f s"):format(value)
end

local function clock_time(milliseconds)
  return os.date("%H:%M:%S", math.floor((milliseconds or 0) / 1000))
end

local clean = function(value) return (text.clean(tostring(value or ""))) end

local function place(entry)
  return ("%s/%.0f"):format(clean(entry.topic), entry.partition or 0)
end

-- ---- sections ----

local function heading(content, style)
  return line(content, style or "heading")
end

local BAD = { failed = "last reload failed", rolled_back = "last reload rolled back" }

-- What is said of the transforms: nothing before the first reload.
local function add_revision(items, status)
  local reload = status.reload
  local last = reload and reload.last
  if not last and not (reload and reload.canary) then return end
  items[#items + 1] = "revision " .. number(status.revision)
  if reload.state ~= "none" then items[#items + 1] = "reload: " .. clean(reload.state):sub(1, 20) end
  local canary = reload.canary
  if canary then
    items[#items + 1] = ("%.4g %% of the batches"):format((canary.share or 0) * 100)
    items[#items + 1] = ("%s compared, %s differ"):format(number(canary.compared), number(canary.differing))
  end
  items[#items + 1] = last and BAD[last.outcome]
end

local function header(status, width, context)
  local ready = status.ready == false and "not ready" or "ready"
  local first = { { "tidemill top  ", "dim" }, { clean(status.name), "heading" } }
  local section = { first }
  local items = { clean(status.state), ready, "up " .. duration(status.uptime or 0), clean(context.address) }
  add_revision(items, status)
  for _, made in ipairs(layout.items("", 0, items, width)) do
    made[1][2] = status.ready == false and "warning" or "dim"
    section[#section + 1] = made
  end
  if context.stale then
    local said = ("the pipeline has not renewed these numbers for %s"):format(seconds(context.stale))
    for _, part in ipairs(text.wrap(said, width)) do section[#section + 1] = line(part, "warning") end
  end
  return section
end

local function verdict(status, width)
  local found = status.verdict
  if not found or not found.limit then return nil end
  local bound = found.limit ~= "none"
  local title = bound and "limit: " .. clean(found.limit) or "no limit"
  if bound and found.step then title = ("%s of step %s"):format(title, number(found.step)) end
  if bound and (found.since or 0) >= 1 then title = ("%s, for %s"):format(title, seconds(found.since)) end
  local section = { heading(title, bound and "warning" or "good") }
  for _, part in ipairs(text.wrap(clean(found.text), width)) do section[#section + 1] = line(part) end
  if found.advice then
    for _, part in ipairs(text.wrap("what to do: " .. clean(found.advice), width)) do
      section[#section + 1] = line(part, "heading")
    end
  end
  return section
end

local function messages(status, width)
  local totals, rates, rows = status.totals or {}, status.rates or {}, {}
  for i, name in ipairs { "read", "produced", "filtered", "dead_lettered" } do
    rows[i] = { ({ dead_lettered = "dead letters" })[name] or name, number(rates[name]), number(totals[name]) }
    if name == "dead_lettered" and (rates[name] or 0) > 0 then rows[i].style = "warning" end
  end
  local made = layout.table({ { title = "messages", rank = 1 }, { title = "a second", right = true, rank = 1 },
    { title = "in all", right = true, rank = 1 } }, rows, width)
  local behind = totals.lag and ("lag %s%s"):format(number(totals.lag),
    totals.lag_seconds and " (" .. seconds(totals.lag_seconds) .. ")" or "") or "lag not known"
  local section = { made.head }
  for _, row in ipairs(made.rows) do section[#section + 1] = row end
  for _, more in ipairs(layout.items(behind .. ",", #behind + 1,
    { "in flight " .. number(totals.in_flight) }, width)) do
    section[#section + 1] = more
  end
  return section
end

local function engines(status, width)
  local rows = {}
  for i, one in ipairs(status.engines or {}) do
    local totals, found = one.totals or {}, one.verdict or {}
    rows[i] = { number(one.number), clean(one.state):lower(), one.pid and ("%.0f"):format(one.pid) or "-",
      number((one.rates or {}).read or 0), number(totals.lag), clean(found.limit or "-"), number(one.losses),
      style = one.state ~= "RUNNING" and "warning" or nil }
  end
  if #rows == 0 then return nil end
  local made = layout.table({ { title = "engine", right = true, rank = 1 }, { title = "state", rank = 1 },
    { title = "pid", right = true, rank = 5 }, { title = "read/s", right = true, rank = 2 },
    { title = "lag", right = true, rank = 3 }, { title = "limit", rank = 4 },
    { title = "lost", right = true, rank = 6 } }, rows, width)
  return { made.head, rows = made.rows, what = "engines" }
end

-- Batches in progress against processes. The bar stands for the processes.
local function progress(step, width, ascii)
  local batches, processes = step.batches_in_progress or 0, step.processes or 0
  local said = ("%s of %s processes"):format(number(batches), number(processes))
  local room = math.min(width - LABEL - #said - 3, 40)
  local share = processes > 0 and batches / processes or 0
  local bar = room >= 5 and layout.bar(share, room, ascii) .. "  " or ""
  return line(text.pad("batches", LABEL) .. " " .. bar .. said)
end

local CLOSES = { "size", "time", "block", "idle", "run_time", "retry", "flush" }

-- "name 1.5" for each that is known; those that are 0 only when `all`.
local function rates_of(values, names, all)
  local items = {}
  for _, name in ipairs(names) do
    local value = (values or {})[name]
    if value and (all or value > 0) then items[#items + 1] = ("%s %s/s"):format(name, number(value)) end
  end
  if #items == 0 then items[1] = "none" end
  return items
end

local function bytes(value)
  if not value then return nil end
  if value >= 2 ^ 20 then return ("%.4g MiB"):format(value / 2 ^ 20) end
  return value >= 1024 and ("%.4g KiB"):format(value / 1024) or ("%.0f B"):format(value)
end

local SIZES = { { "max_batch_size", number }, { "max_batch_time", seconds }, { "input_block_size", bytes },
  { "output_block_size", bytes } }

local function sizes_of(step)
  local sizes, items = step.sizes or {}, {}
  for _, one in ipairs(SIZES) do
    local value, auto = sizes[one[1]], (sizes.auto or {})[one[1]]
    if value then items[#items + 1] = ("%s %s%s"):format(one[1], one[2](value), auto and " (auto)" or "") end
  end
  if #items == 0 then items[1] = "none" end
  return items
end

local function workers_of(step, width, ascii)
  local rows, bar = {}, width >= 70 and 20 or 8
  for i, worker in ipairs(step.workers or {}) do
    local busy = worker.busy or 0
    local slot = worker.engine and ("%.0f.%.0f"):format(worker.engine, worker.slot) or number(worker.slot)
    rows[i] = { slot, worker.pid and ("%.0f"):format(worker.pid) or "-", clean(worker.state),
      layout.bar(busy, bar, ascii), percent(worker.busy), number(worker.messages), number(worker.lost),
      style = (worker.lost or 0) > 0 and "warning" or nil }
  end
  return layout.table({ { title = "worker", right = true, rank = 1 }, { title = "pid", right = true, rank = 5 },
    { title = "state", rank = 3 }, { title = "busy", rank = 2 }, { title = "", right = true, rank = 1 },
    { title = "messages/s", right = true, rank = 4 }, { title = "lost", right = true, rank = 6 } }, rows, width)
end

local function step_section(step, width, ascii)
  local title = ("step %s: %s"):format(number(step.number), clean(step.stage or step.kind))
  local section = { heading(title), progress(step, width, ascii) }
  local overflow = step.overflow or {}
  local loud = (overflow.input or 0) > 0 or (overflow.output or 0) > 0
  local function add(label, items, style, label_width)
    for _, made in ipairs(layout.items(label, label_width or LABEL, items, width)) do
      made[1][2] = style
      section[#section + 1] = made
    end
  end
  add("closed by", rates_of(step.closes, CLOSES))
  add("overflow", rates_of(overflow, { "input", "output" }, true), loud and "warning" or nil)
  add("backpressure", { number(step.backpressure) .. "/s" })
  local time = step.event_time
  if time then
    add("event time", { "watermark " .. seconds(time.watermark_lag) .. " behind the clock",
      number(time.waiting_timers) .. " timers wait" })
  end
  add("sizes", sizes_of(step), nil, width < 48 and 5 or LABEL)
  if #(step.workers or {}) > 0 then
    local made = workers_of(step, width, ascii)
    section[#section + 1], section.rows, section.what = made.head, made.rows, "workers"
  end
  return section
end

local function partitions(status, width)
  local list = {}
  for i, entry in ipairs(status.partitions or {}) do list[i] = entry end
  if #list == 0 then return nil end
  table.sort(list, function(a, b)
    if (a.lag or -1) ~= (b.lag or -1) then return (a.lag or -1) > (b.lag or -1) end
    if a.topic ~= b.topic then return tostring(a.topic) < tostring(b.topic) end
    return (a.partition or 0) < (b.partition or 0)
  end)
  local rows = {}
  for i, entry in ipairs(list) do rows[i] = { place(entry), number(entry.lag), seconds(entry.lag_seconds) } end
  local made = layout.table({ { title = "worst partitions", rank = 1, elastic = 12 },
    { title = "lag", right = true, rank = 1 }, { title = "behind", right = true, rank = 2 } }, rows, width)
  return { made.head, rows = made.rows, what = "partitions" }
end

local function dead_letters(status, width)
  local dead, reasons = status.dead_letters, {}
  if not dead or (dead.total or 0) == 0 then return nil end
  for name, count in pairs(dead.reasons or {}) do reasons[#reasons + 1] = { name = clean(name), count = count } end
  table.sort(reasons, function(a, b) return a.count > b.count or a.count == b.count and a.name < b.name end)
  local items, rows = {}, {}
  for i, reason in ipairs(reasons) do items[i] = ("%s %s"):format(reason.name, number(reason.count)) end
  for i, letter in ipairs(dead.last or {}) do
    rows[i] = { clock_time(letter.time), clean(letter.reason), clean(letter.error),
      ("%s/%.0f"):format(place(letter), letter.offset or 0), clean(letter.stage) }
  end
  local title = ("dead letters %s:"):format(number(dead.total))
  local section = layout.items(title, #title, items, width)
  for _, made in ipairs(section) do made[1][2] = "heading" end
  local made = layout.table({ { title = "time", rank = 4 }, { title = "reason", rank = 1 },
    { title = "error", rank = 1, elastic = math.max(28, math.floor(width / 2)) },
    { title = "message", rank = 2, elastic = 20 }, { title = "step", rank = 6 } }, rows, width)
  section[#section + 1], section.rows, section.what = made.head, made.rows, "of the last dead letters"
  return section
end

local function slow_messages(status, width)
  local rows = {}
  for i, slow in ipairs(status.slow_messages or {}) do
    rows[i] = { ("%s/%.0f"):format(place(slow), slow.offset or 0), seconds(slow.seconds), number(slow.step),
      seconds(slow.age) }
  end
  if #rows == 0 then return nil end
  local made = layout.table({ { title = "slowest, last minute", rank = 1, elastic = 16 },
    { title = "took", right = true, rank = 1 }, { title = "step", right = true, rank = 2 },
    { title = "ago", right = true, rank = 3 } }, rows, width)
  return { made.head, rows = made.rows, what = "slow messages" }
end

-- ---- the whole ----

local function in_ascii(lines)
  for _, spans in ipairs(lines) do
    for _, span in ipairs(spans) do span[1] = text.ascii(span[1]) end
  end
  return lines
end

local function steps(status, width, ascii)
  local sections = {}
  for _, step in ipairs(status.steps or {}) do sections[#sections + 1] = step_section(step, width, ascii) end
  return sections
end

local function add_all(to, ...)
  for i = 1, select("#", ...) do to[#to + 1] = (select(i, ...)) end -- what is nil is left out
end

--- Returns a snapshot as lines of at most `width` columns, at most `height` of them. context: address; stale = seconds
--- for which the snapshot has not changed, when that is long; ascii = nothing but ASCII.
function view.lines(status, width, height, context)
  local head = layout.stack({ header(status, width, context), verdict(status, width) }, width, height)
  local left_height = height - #head - 1
  local wide = width >= WIDE
  local inner = wide and math.floor((width - 3) / 2) or width
  local left, right = { messages(status, inner) }, {}
  add_all(left, engines(status, inner))
  add_all(left, unpack(steps(status, inner, context.ascii)))
  add_all(right, partitions(status, inner), dead_letters(status, inner), slow_messages(status, inner))
  local body
  if wide then
    body = layout.beside(layout.stack(left, inner, left_height), layout.stack(right, inner, left_height), inner + 3)
  else
    add_all(left, unpack(right))
    body = layout.stack(left, width, left_height)
  end
  if left_height > 0 then head[#head + 1] = line("") end
  for _, one in ipairs(body) do head[#head + 1] = one end
  return context.ascii and in_ascii(head) or head
end

--- Returns what is shown while the pipeline does not answer: none of the numbers, since they would be old.
function view.gone(reason, width, height, context)
  local section = { { { "tidemill top  ", "dim" }, { clean(context.name or context.address), "heading" } } }
  local said = ("the pipeline has not answered for %s; trying again"):format(seconds(context.gone))
  for _, part in ipairs(text.wrap(said, width)) do section[#section + 1] = line(part, "warning") end
  for _, part in ipairs(text.wrap(clean(reason), width)) do section[#section + 1] = line(part) end
  local lines = layout.stack({ section }, width, height)
  return context.ascii and in_ascii(lines) or lines
end

--- Returns lines as texts without styles.
function view.plain(lines)
  local texts = {}
  for i, spans in ipairs(lines) do
    local parts = {}
    for j, span in ipairs(spans) do parts[j] = span[1] end
    texts[i] = (table.concat(parts):gsub(" +$", ""))
  end
  return texts
end

return view
