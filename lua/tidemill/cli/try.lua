-- SPDX-License-Identifier: MIT
-- cli/try.lua: tidemill try FILE runs messages that are typed, pasted or read from a file through a pipeline, one by
-- one, and shows what each step makes of them. When a file of the pipeline is changed it is loaded again, and the last
-- message is run again. Functions run in workers as ever, so a script that crashes or hangs costs its message and no
-- more.
local cjson = require("cjson.safe")
local commands = require("tidemill.cli.try.commands")
local console = require("tidemill.cli.try.console")
local exit_code = require("tidemill.plan.exit_code")
local files = require("tidemill.cli.try.files")
local input = require("tidemill.cli.try.input")
local options = require("tidemill.cli.options")
local posix = require("tidemill.run.posix")
local sample_text = require("tidemill.cli.sample_text")
local session = require("tidemill.cli.try.session")
local stderr = require("tidemill.cli.stderr")
local terminal = require("tidemill.cli.top.terminal")
local text_file = require("tidemill.plan.text_file")
local tide = require("tidemill.run.ffi")
local units = require("tidemill.plan.units")

local try = {
  summary = "Try messages on a pipeline, one by one, and see what its steps make of them.",
  description = "Try messages on a pipeline, one by one: type or paste a message, and see what each step makes of it: "
    .. "results with what was changed, errors with file and line, filtered, rejected, retry. Save the transform, and "
    .. "the last message is run again. Nothing is read from or written to Kafka. A line is a value; a JSON object as "
    .. "`tidemill record` writes it is a whole message, with key and headers; a line that begins with a colon is a "
    .. "command (:help). Without a terminal it reads messages from standard input and ends with it. Lines are edited "
    .. "and remembered where the library readline is installed.",
}

local Try = {}
Try.__index = Try

local STDOUT = 1
local PROMPT, MORE = "> ", "... "

local function duration(text)
  local time, reason = units.time(text)
  if not time or time <= 0 then return nil, "--message-timeout: " .. (reason or "must be above zero") end
  return time
end

function try.define(command)
  options.file(command)
  options.set(command)
  options.trust(command)
  options.tables(command)
  command:option("--input"):argname("FILE")
    :description("Step through the lines of FILE, as `tidemill record` writes them: an empty line runs the next one. "
      .. "Without a terminal all of them are run.")
  command:option("--input-format"):argname("FORMAT"):choices({ "lines", "json" })
    :description("lines: each line is a value. json: each line is a message as `tidemill record` writes it. Without "
      .. "it a line is what it looks like.")
  command:option("--message-timeout"):argname("TIME"):default("5s"):convert(duration)
    :description("How long a message may take, in place of the pipeline's message_timeout.")
  command:flag("--json"):description("Show what a tap shows as JSON lines, one for each step.")
end

--- Words about what is done; what comes of messages goes to standard output.
function Try:say(text)
  if self.console.interactive then
    io.stdout:write(text, "\n")
  else
    stderr.line(text)
  end
end

--- Loads the pipeline, and watches its files. Returns whether it is loaded.
function Try:load()
  local loaded, texts, code = self.session:load()
  self.files:watch(self.path, self.session.pipeline)
  if not loaded then
    stderr.lines(texts)
    self.code = code
  end
  self.loaded = loaded
  return loaded
end

-- What became of the message in one step.
local function show(self, line)
  local sample = cjson.decode(line)
  if self.step and sample.step ~= self.step then return end
  if self.json then
    io.stdout:write(line, "\n")
    return
  end
  local style = { colour = self.colour, width = self.console.interactive and terminal.size() or nil,
    brief = self.session.steps == 1 and "all" or sample.step == 1 and "before" or "place" }
  io.stdout:write(table.concat(sample_text.lines(sample, style), "\n"), "\n")
end

--- Runs a message and shows what came of it.
function Try:run(message)
  self.last = message
  if not self.loaded then return self:say("the pipeline cannot be loaded; mend it, and the message is run") end
  local samples, seconds = self.session:run(message)
  if not samples then
    stderr.line(seconds)
    self.code = exit_code.DATA
    return
  end
  self.seconds = seconds
  for _, line in ipairs(samples) do show(self, line) end
  io.stdout:flush()
end

-- A message that is typed gets the key and the headers that were set, unless it has its own.
local function take(self, text)
  local message, reason = input.message(text, self.format)
  if not message then
    self.code = exit_code.DATA
    return self:say(reason)
  end
  message.key = message.key or self.key
  if not message.headers or #message.headers == 0 then message.headers = self.headers end
  self:run { value = message.value, key = message.key, headers = message.headers, timestamp = message.timestamp,
    topic = message.topic }
end

--- Runs the next line of --input.
function Try:next()
  local line = self.lines and self.lines()
  if not line then
    return self:say(self.lines and "the input has no more messages" or "there is no --input to go on with")
  end
  take(self, line)
  return true
end

-- True if a line begins JSON that goes on in the next lines.
local function begins_part(self, line)
  if not self.console.interactive or self.format == "lines" then return false end
  self.open = input.open_after(line)
  return self.open > 0
end

-- A line: a command, the next of --input, a value, or a part of JSON that goes on.
local function on_line(self, line)
  if self.part then
    self.open = line ~= "" and input.open_after(line, self.open) or 0
    if line ~= "" then self.part[#self.part + 1] = line end
    if self.open > 0 then return end
    line, self.part = table.concat(self.part, "\n"), nil
  elseif line == "" then
    return self.lines and self:next()
  elseif line:find("^::") then
    line = line:sub(2)
  elseif line:find("^:") then
    return commands.run(self, line)
  elseif begins_part(self, line) then
    self.part = { line }
    return
  end
  take(self, line)
end

local function on_changed(self, path)
  self.console:clear()
  self:say(path .. " was changed" .. (self.last and ": the last message is run again" or ""))
  if self:load() and self.last then self:run(self.last) end
end

local function loop(self)
  while not self.over do
    self.console:prompt(self.part and MORE or PROMPT)
    local kind, what = self.console:next(self.files)
    if kind == "end" then break end
    if kind == "changed" then on_changed(self, what) else on_line(self, what) end
  end
  self.console:close()
  if self.console.interactive then return exit_code.OK end
  return self.code or exit_code.OK
end

-- Without a terminal the messages of --input are all there is.
local function run_input(self)
  while not self.over and self:next() do end -- luacheck: ignore
  return self.code or exit_code.OK
end

function try.run(parsed)
  tide.C.tide_log_setup("TIDE_LOG_WARN", "TIDE_LOG_TEXT")
  local watch = files.new()
  local self = setmetatable({ path = parsed.file, files = watch, console = console.new(watch.fd), headers = {},
    json = parsed.json, format = parsed.input_format,
    session = session.new(parsed.file,
      { set = parsed.set, trust = parsed.trust, message_timeout = parsed.message_timeout,
        tables = parsed.table }),
    colour = posix.isatty(STDOUT) == 1 and not os.getenv("NO_COLOR") }, Try)
  if parsed.input then
    local file, reason = text_file.open(parsed.input)
    if not file then
      stderr.failure("--input: %s", reason)
      return exit_code.NO_INPUT
    end
    self.lines = file:lines()
  end
  if not self:load() and not self.console.interactive then return self.code end
  if self.console.interactive then self:say("type a message, or :help") end
  local code = (self.lines and not self.console.interactive) and run_input(self) or loop(self)
  self.session:close()
  return code
end

return try
