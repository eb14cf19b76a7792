-- SPDX-License-Identifier: MIT
-- cli/profile.lua: tidemill profile ADDR|FILE: where the time of a worker goes, and what LuaJIT does not compile.
local backlog = require("tidemill.cli.profile.backlog")
local exit_code = require("tidemill.plan.exit_code")
local http_client = require("tidemill.cli.http_client")
local options = require("tidemill.cli.options")
local print = require("tidemill.cli.profile.print")
local samples = require("tidemill.cli.profile.samples")
local stderr = require("tidemill.cli.stderr")
local svg = require("tidemill.cli.profile.svg")
local tide = require("tidemill.run.ffi")

local profile = {
  summary = "Show where the time of a worker goes, and what LuaJIT does not compile.",
  description = "Sample one worker for some seconds: which functions and lines take its time, and where and why "
    .. "LuaJIT ran it in the interpreter. ADDR: a worker of a running pipeline, which must run with --metrics-addr, "
    .. "or with metrics in its file; only that worker is slowed, and only meanwhile. FILE: a pipeline file on the "
    .. "messages of --input, again and again, in this process and workers of its own; nothing is read from Kafka, and "
    .. "results are thrown away. Only time on the processor is sampled, not waiting. jit.zone marks parts of a "
    .. "function.",
}

local MARGIN = 25 -- seconds for the answer, beyond those of the profile

local function number(flag, least, most, whole)
  return function(text)
    local value = tonumber(text)
    if not value or not (value >= least and value <= most) or whole and value % 1 ~= 0 then
      return nil, ("%s %s: must be a %snumber from %g to %g"):format(flag, text, whole and "whole " or "", least, most)
    end
    return value
  end
end

function profile.define(command)
  command:argument("target"):argname("ADDR|FILE")
    :description("HOST:PORT of a running pipeline, as 127.0.0.1:9464; or a pipeline file.")
  options.set(command)
  command:option("--input"):argname("INPUT"):description("With FILE: the messages, a line each.")
  command:option("--input-format"):argname("FORMAT"):choices({ "lines", "json" }):default("lines")
    :description("lines: each line is a value. json: lines as `tidemill record` writes them.")
  command:option("--seconds"):argname("N"):default("5"):convert(number("--seconds", 0.1, 300))
    :description("How long to sample.")
  command:option("--step"):argname("N"):default("1"):convert(number("--step", 1, 100, true))
    :description("Which of the steps that have workers, from 1.")
  command:option("--worker"):argname("N"):default("0"):convert(number("--worker", 0, 10000, true))
    :description("Which worker of that step, from 0.")
  command:option("--engine"):argname("K"):convert(number("--engine", 1, 64, true))
    :description("Of several engines the one whose worker it is; without it the first.")
  command:option("--svg"):argname("OUT"):description("Write a flame graph to this file.")
end

-- True if it can be opened; else false and the reason.
local function readable(path)
  local file, reason = io.open(path)
  if file then file:close() end
  return file ~= nil, reason
end

-- The text of a line of a file, without what surrounds it; nil when it cannot be read.
local function source(path, wanted)
  local file = path and io.open(path)
  if not file then return nil end
  local at = 0
  for line in file:lines() do
    at = at + 1
    if at == tonumber(wanted) then
      file:close()
      return (line:gsub("^%s+", ""):gsub("%s+$", ""):gsub("%c", " "):sub(1, 70))
    end
  end
  file:close()
end

-- Each: the text of a profile and the number of its step in the plan; or nil, an array of texts, the exit code.
local function of_address(address, parsed)
  local path = ("/profile?step=%d&worker=%d&seconds=%g"):format(parsed.step, parsed.worker, parsed.seconds)
  if parsed.engine then path = path .. "&engine=" .. parsed.engine end
  local text, reason, code = http_client.get(address, path, parsed.seconds + MARGIN)
  if not text then return nil, { "tidemill: " .. reason }, code end
  local row, rest = text:match("^step\t(%d+)\n(.*)$")
  return rest or text, tonumber(row)
end

local function of_file(parsed)
  local there, missing = readable(parsed.target)
  if not there then
    return nil, { ("tidemill: %s; and it is not an address HOST:PORT"):format(missing) }, exit_code.NO_INPUT
  end
  if not parsed.input then
    return nil, { ("tidemill: %s: profile runs a pipeline file on --input FILE; to profile one that runs, give its "
      .. "address"):format(parsed.target) }, exit_code.USAGE
  end
  local messages, reason, code = backlog.read(parsed.input, parsed.input_format)
  if not messages then return nil, { "tidemill: " .. reason }, code end
  return backlog.profile(parsed.target, messages, parsed)
end

local function write_svg(path, read, title)
  local file, _, errno = io.open(path, "w")
  local written, closed
  if file then
    written, _, errno = file:write(svg.draw(read.stacks, title))
    closed = file:close()
  end
  if written and closed then return exit_code.OK end
  local status = tide.C.tide_output_failed(path, errno)
  stderr.failure("--svg: %s", tide.error())
  return -status
end

function profile.run(parsed)
  local address = not readable(parsed.target) and http_client.address(parsed.target)
  local text, row, code
  if address then
    text, row, code = of_address(address, parsed)
  else
    text, row, code = of_file(parsed)
  end
  if not text then
    stderr.lines(row)
    return code
  end
  local read, reason, failed = samples.read(text)
  if not read then
    stderr.failure("%s: %s", parsed.target, reason)
    if not failed then return exit_code.DATA end -- it is no profile at all
    return failed == exit_code.USAGE and failed or exit_code.TEMPORARY
  end
  if row then samples.of_step(read, row) end
  local lines = print.lines(read, source)
  io.stdout:write(table.concat(lines, "\n"), "\n")
  if not parsed.svg then return exit_code.OK end
  return write_svg(parsed.svg, read, ("%s, step %d, worker %d, %g s"):format(parsed.target, parsed.step, parsed.worker,
    parsed.seconds))
end

return profile
