-- SPDX-License-Identifier: MIT
-- `tidemill run` that reads a named pipe and answers HTTP: a spec feeds it and asks it while it runs. There is one at a
-- time; stop() ends it.
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local PROGRAM = require("spec.support.program").path

local piped_run = {}

local pipe, folder, fed

--- Starts a pipeline file with this text; `files`: others beside it, text by name. The pipe stays open, and the output
--- is FOLDER/out (flags may name FOLDER too). Returns the process and the folder.
function piped_run.start(text, flags, files)
  local path
  path, folder = pipeline_file.write(text, files)
  assert(os.execute(("mkfifo %s/fifo"):format(folder)) == 0)
  pipe, fed = assert(io.open(folder .. "/fifo", "r+")), 0
  local run = process.start { "/bin/sh", "-c", ('exec "$0" run %s --input %s/fifo --output %s/out %s'):format(path,
    folder, folder, (flags or ""):gsub("FOLDER", folder)), PROGRAM }
  wait.watch(run)
  return run, folder
end

--- Waits until a process says what matches the pattern; returns the capture.
function piped_run.until_said(run, pattern)
  return wait.until_true(function() return run:stderr():match(pattern) end, function() return run:stderr() end)
end

--- Writes a file beside the pipeline file.
function piped_run.write(name, text)
  local file = assert(io.open(folder .. "/" .. name, "wb"))
  file:write(text)
  file:close()
end

--- What a file beside the pipeline file has now; "" if there is none.
function piped_run.read(name)
  local file = io.open(folder .. "/" .. name, "rb")
  local text = file and file:read "*a" or ""
  if file then file:close() end
  return text
end

function piped_run.feed(text)
  pipe:write(text)
  pipe:flush()
end

--- Feeds so many messages at once, which are the numbers that follow those fed so before. Returns how many these are in
--- all.
function piped_run.feed_numbers(count)
  local lines = {}
  for i = 1, count do lines[i] = fed + i .. "\n" end
  piped_run.feed(table.concat(lines))
  fed = fed + count
  return fed
end

--- Ends all processes of the spec, and removes its files.
function piped_run.stop()
  if pipe then pipe:close() end
  pipe = nil
  process.stop_all()
  pipeline_file.remove_all()
end

return piped_run
