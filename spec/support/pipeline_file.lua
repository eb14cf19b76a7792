-- SPDX-License-Identifier: MIT
-- Pipeline files that a spec writes: each in a folder of its own, removed by pipeline_file.remove_all().
local ffi = require "ffi"
local loader = require "tidemill.plan.pipeline_file"

ffi.cdef [[ char *mkdtemp(char *template); ]]

local pipeline_file = {}
local folders = {}

--- A new empty folder.
function pipeline_file.folder()
  local path = (os.getenv "TMPDIR" or "/tmp") .. "/tidemill-spec-XXXXXX"
  local template = ffi.new("char[?]", #path + 1, path)
  assert(ffi.C.mkdtemp(template) ~= nil, "no temporary folder")
  local folder = ffi.string(template)
  folders[#folders + 1] = folder
  return folder
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

--- Writes "p.lua" and further files (text by name) into a new folder; returns its path and the folder.
function pipeline_file.write(text, files)
  local folder = pipeline_file.folder()
  for name, contents in pairs(files or {}) do write(folder .. "/" .. name, contents) end
  write(folder .. "/p.lua", text)
  return folder .. "/p.lua", folder
end

local HEAD = 'local tide = require "tidemill"\n'

--- Loads `text` (behind a first line with the require). The checked pipeline; or nil, the faults with "p:" in
--- place of the path, and the exit code.
function pipeline_file.load(text, set, files)
  local path, folder = pipeline_file.write(HEAD .. text, files)
  local pipeline, texts, status = loader.load(path, set)
  local pattern = folder:gsub("%p", "%%%0")
  for i, fault in ipairs(texts or {}) do
    texts[i] = fault:gsub(pattern .. "/p%.lua:(%d)", "p:%1"):gsub(pattern, "FOLDER")
  end
  return pipeline, texts, status
end

--- A pipeline around one line of options for a word; the others are right.
function pipeline_file.around(word, options, settings)
  local steps = {
    kafka_source = 'tide.kafka_source { brokers = "b", topic = "t", group = "g" }',
    run_task_with_multiprocessing = "tide.run_task_with_multiprocessing { function() end }",
    produce = 'tide.produce { topic = "o" }',
    commit_offsets = "tide.commit_offsets {}",
  }
  if steps[word] then steps[word] = ("tide.%s { %s }"):format(word, options) end
  return ('return tide.pipeline "x" {\n%s,\n%s,\n%s,\n%s,\n%s }'):format(steps.kafka_source,
    steps.run_task_with_multiprocessing, steps.produce, steps.commit_offsets, settings or "")
end

function pipeline_file.remove_all()
  for _, folder in ipairs(folders) do os.execute("rm -rf " .. folder) end
  folders = {}
end

return pipeline_file
