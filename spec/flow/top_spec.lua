-- SPDX-License-Identifier: MIT
-- tidemill top against a running pipeline, in a pseudo terminal of script(1). A picture is what follows the sequence
-- that moves the cursor to the first row.
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local PROGRAM = require("spec.support.program").path

local PIPELINE = [[
local tide = require "tidemill"
return tide.pipeline "clicks" {
  tide.file_source { path = "-" },
  tide.run_task_with_multiprocessing { processes = 2, function(message) error("no user \27[31m", 0) end },
  tide.file_sink { path = "-" } }
]]

local HOME, LEAVE = "\27[H", "\27[0m\27[?25h\27[?1049l"

local folder, pipeline, address, keys, terminal

local function start_pipeline()
  local path
  path, folder = pipeline_file.write(PIPELINE, { lines = "a\nb\nc\n" })
  assert(os.execute(("mkfifo %s/keys"):format(folder)) == 0)
  pipeline = process.start { "/bin/sh", "-c", ("(cat %s/lines; exec sleep 600) | exec \"$0\" run %s --input - --output "
    .. "/dev/null --dead-letters /dev/null --metrics-addr 0"):format(folder, path), PROGRAM }
  address = wait.until_true(function() return pipeline:stderr():match("HTTP on http://([%w.:]+)/") end, "the address")
end

-- Runs top in a terminal of 80 x 40, between two prints of the terminal's settings.
local function start_top(flags, env)
  local command = ("stty cols 80 rows 40; tty; stty -g; '%s' top %s %s; echo code=$?; stty -g"):format(PROGRAM, address,
    flags or "")
  local variables = { TERM = "xterm", LC_ALL = "C.UTF-8", NO_COLOR = false }
  for name, value in pairs(env or {}) do variables[name] = value end
  keys = assert(io.open(folder .. "/keys", "r+"))
  terminal = process.start({ "script", "-qfc", command, "/dev/null" }, { stdin = folder .. "/keys", env = variables })
end

-- The last whole picture as text without styles.
local function picture()
  local text = terminal:stdout():match(".*\27%[H(.-)\27%[J")
  return text and text:gsub("\27%[[%d;]*[mK]", "")
end

local function until_shown(part)
  local seen
  return wait.until_true(function()
    seen = picture()
    return seen and seen:find(part, 1, true) and seen
  end, function() return ("%q in %s"):format(part, tostring(seen)) end)
end

local function press(key)
  keys:write(key)
  keys:flush()
end

-- The exit code of top, once it has ended.
local function ended()
  return tonumber(wait.until_true(function() return terminal:stdout():match("code=(%d+)\r\n[%x:]+\r\n") end, "the end"))
end

before_each(start_pipeline)

after_each(function()
  if keys then keys:close() end
  keys = nil
  process.stop_all()
  pipeline_file.remove_all()
end)

describe("tidemill top", function()
  it("shows a running pipeline, and gives the terminal back as it was when q is pressed", function()
    start_top()
    local seen = until_shown("dead letters 3: error 3")
    for _, part in ipairs { "tidemill top  clicks", address, "of 2 processes", "closed by", "input_block_size",
      "no user \\x1b[31m", "stdin/0/2" } do
      assert.truthy(seen:find(part, 1, true), part .. " in " .. seen)
    end
    local before = select(2, terminal:stdout():gsub(HOME:gsub("%p", "%%%0"), ""))
    wait.until_true(function()
      return select(2, terminal:stdout():gsub(HOME:gsub("%p", "%%%0"), "")) > before
    end, "the next picture")
    press "q"
    assert.equal(0, ended())
    local out = terminal:stdout()
    assert.truthy(out:find(LEAVE, 1, true))
    local first, last = out:match("/dev/pts/%d+\r\n([%x:]+)\r\n"), out:match("code=%d+\r\n([%x:]+)\r\n")
    assert.equal(first, last)
  end)

  it("ends at Ctrl-C too, draws at the size that the terminal has, and says when the pipeline is gone", function()
    start_top("--interval 200ms", { NO_COLOR = "1" })
    until_shown("tidemill top  clicks")
    assert.is_nil(terminal:stdout():find("\27%[[%d;]+m[^\27]*\27%[0m"))
    local tty = terminal:stdout():match("(/dev/pts/%d+)")
    assert(os.execute(("stty -F %s cols 40 rows 12"):format(tty)) == 0)
    local seen = until_shown("lines more: the terminal is too low")
    assert.is_true(select(2, seen:gsub("\n", "")) <= 11)
    pipeline:stop()
    seen = until_shown("the pipeline has not answered")
    assert.is_nil(seen:find("messages", 1, true))
    assert.truthy(seen:find("clicks", 1, true))
    press "\3"
    assert.equal(0, ended())
    assert.truthy(terminal:stdout():find(LEAVE, 1, true))
  end)

  it("prints one plain view when it is told to, or when its output is no terminal", function()
    for _, flag in ipairs { "--once", "--interval=1s" } do
      local code, out, err = process.run({ PROGRAM, "top", address, flag }, { env = { LC_ALL = "C" } })
      assert.same({ 0, "" }, { code, err })
      assert.truthy(out:find("tidemill top  clicks\n", 1, true), out)
      assert.is_nil(out:find("[^ -~\n]"))
    end
  end)

  it("names what is wrong with an address, and whom it did not reach", function()
    local code, out, err = process.run { PROGRAM, "top", "nonsense" }
    assert.same({ 64, "" }, { code, out })
    assert.truthy(err:find('"nonsense" is not an address; write HOST:PORT', 1, true), err)
    pipeline:stop()
    code, out, err = process.run { PROGRAM, "top", address }
    assert.same({ 69, "" }, { code, out })
    assert.truthy(err:find(address .. ": nobody listens there", 1, true), err)
    code, out, err = process.run { PROGRAM, "top", address, "--interval", "0s" }
    assert.same({ 64, "" }, { code, out })
    assert.truthy(err:find("--interval 0s: must be from 100ms to 1h", 1, true), err)
  end)
end)
