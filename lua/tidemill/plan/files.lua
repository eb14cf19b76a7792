-- SPDX-License-Identifier: MIT
-- plan/files.lua: finds files that a plan would write although it also reads them, or writes them as something else.
-- Files are compared by device and inode (those that do not exist yet by folder and name), before any is opened.
local bit = require("bit")
local pipeline_file = require("tidemill.plan.pipeline_file")
local tide = require("tidemill.run.ffi")

local files = {}

-- The files that "-" stands for when it means a stream of this process.
local STREAM = { input = "/proc/self/fd/0", output = "/proc/self/fd/1", dead_letters = "/proc/self/fd/2" }

-- Returns { what, path, shown, standard }; nil when there is no file to compare.
local function entry(what, path, stream, options)
  if path == nil then return nil end
  if path ~= "-" or not stream then return { what = what, path = path, shown = ('%s "%s"'):format(what, path) } end
  if not options.streams then return nil end
  return { what = what, path = stream, shown = what .. ' "-"', standard = true }
end

local function add(list, item)
  if item then list[#list + 1] = item end
end

--- Whether a file can be read without using it up, as a pipe would be.
function files.is_kept(path)
  return tide.C.tide_output_same(path, path)
end

local function text_of(path)
  if not files.is_kept(path) then return "" end
  local file = io.open(path, "rb")
  local text = file and file:read("*a") or ""
  if file then file:close() end
  return text
end

-- Adds the modules in the pipeline's folder that the file names in a `require`, and those that they name. They are
-- looked for in the text, since transforms are not loaded yet.
local function add_modules(list, path, folder, known)
  local search = folder .. "/?.lua;" .. folder .. "/?/init.lua"
  for name in text_of(path):gmatch("%f[%w_]require%s*%(?%s*[\"']([^\"'\n]+)[\"']") do
    local module = package.searchpath(name, search)
    if module and not known[module] then
      known[module] = true
      add(list, entry("the module", module))
      add_modules(list, module, folder, known)
    end
  end
end

-- Adds the user's code, also that of steps that an option leaves out.
local function add_code(list, plan)
  local file, modules = pipeline_file.followed(plan.file), {}
  add(list, { what = "the pipeline file", path = file, shown = ('the pipeline file "%s"'):format(plan.file) })
  add_modules(list, file, plan.folder, modules)
  for _, step in ipairs(plan.steps) do
    for _, item in ipairs(step.values.functions or {}) do
      if type(item) == "table" then
        add(list, entry("the transform", item.path))
        add_modules(list, item.path, plan.folder, modules)
      end
    end
  end
end

--- Returns the paths of the user's code: the pipeline file, transform files, and the modules in the pipeline's folder.
function files.code(plan)
  local list, paths = {}, {}
  add_code(list, plan)
  for i, item in ipairs(list) do paths[i] = item.path end
  return paths
end

--- Returns a number by which a file is known; it changes when the file is written. `more`: that of other files.
function files.stamp(path, more)
  return tide.C.tide_file_stamp(path, more or 0)
end

--- Returns a text by which all of the user's code is known. before: the stamp of the pipeline file, from before it was
--- loaded.
function files.mark(plan, before)
  local stamp = before
  for _, path in ipairs(files.code(plan)) do stamp = files.stamp(path, stamp) end
  return (bit.tohex(stamp, 16))
end

local function read_files(plan, options)
  local list, source = {}, plan.tables.source
  add_code(list, plan)
  if source.medium == "TIDE_MEDIUM_FILE" then
    add(list, entry(options.input and "--input" or "file_source", source.path, STREAM.input, options))
  end
  for _, read in ipairs(options.reads or {}) do add(list, entry(read[1], read[2], STREAM.input, options)) end
  return list
end

local function written_files(plan, options)
  local list, tables = {}, plan.tables
  if tables.sink.medium == "TIDE_MEDIUM_FILE" and not options.record then
    add(list, entry(options.output and "--output" or "file_sink", tables.sink.path, STREAM.output, options))
  end
  if tables.dlq.kind == "TIDE_DLQ_FILE" then
    local target = tables.dlq.target
    local what = options.dead_letters and "--dead-letters" or "the dlq's file"
    add(list, entry(what, target, STREAM.dead_letters, options))
    if target ~= "-" then add(list, entry("what `tidemill dlq` remembers in", target .. ".processed")) end
  end
  for _, step in ipairs(tables.steps) do
    if step.kind == "TIDE_STEP_HEALTHCHECK" then add(list, entry("healthcheck", step.path)) end
  end
  for _, write in ipairs(options.writes or {}) do add(list, entry(write[1], write[2], STREAM.output, options)) end
  if options.streams then
    add(list, { what = "the log", path = STREAM.dead_letters, shown = "the log, on standard error", standard = true })
  end
  return list
end

--- Returns the texts of what is wrong. options: as plan.new's, and reads and writes (arrays of { flag, path }, for
--- files that the plan does not know), streams ("-" is this process's own).
function files.faults(plan, options)
  local texts, written = {}, written_files(plan, options)
  local function compare(one, other, why)
    if one.standard and other.standard and why.both then return end
    if tide.C.tide_output_same(one.path, other.path) then
      texts[#texts + 1] = ("%s: %s is the same file as %s, %s; name another one"):format(plan.file, one.shown,
        other.shown, why.text)
    end
  end
  for i, one in ipairs(written) do
    for _, other in ipairs(read_files(plan, options)) do compare(one, other, { text = "which is read" }) end
    for j = 1, i - 1 do compare(one, written[j], { text = "and both are written", both = true }) end
  end
  return texts
end

return files
