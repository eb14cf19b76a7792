-- SPDX-License-Identifier: MIT
-- Hostile transforms that come by a reload: they attack while they are loaded, beside the workers of the transforms
-- before, of which the process that loads them has nothing. Whether they are refused or take over: the engine stays, no
-- message is lost, changed or comes twice, and the next reload works.
local piped_run = require "spec.support.piped_run"
local wait = require "spec.support.wait"

local PIPELINE = [[
local tide = require "tidemill"
return tide.pipeline "reload" { tide.file_source { path = "-" },
  tide.run_task_with_multiprocessing { "t.lua", processes = 2, max_batch_size = 5, max_output_block_size = "1MiB" },
  tide.file_sink { path = "-" }, start_timeout = "10s", message_timeout = "10s", worker_memory = "64MiB",
  load_memory = "256MiB" }
]]

local function prefix(word, before)
  return ('%sreturn function(m) m.value = "%s " .. m.value return m end\n'):format(before or "", word)
end

-- By name: what the file does while it is loaded. `loads`: it takes over.
local attacks = {
  ["writes over all shared memory"] = { [[
    for _, mapping in ipairs(kernel.shared()) do kernel.ffi.fill(mapping[1], mapping[2], 255) end]], loads = true },
  ["makes memory of the engine writable, and writes there"] = { [[
    local shared = kernel.mappings "%-s$"
    assert(#shared > 0, "no block of the engine is there")
    for _, mapping in ipairs(shared) do
      assert(kernel.C.mprotect(mapping[1], mapping[2], 3) < 0, "a block of the engine may be written")
    end
    for _, mapping in ipairs(kernel.mappings "^%-%-%-p") do -- a sanitizer keeps a larger one for itself
      if mapping[2] < 2 ^ 30 and kernel.C.mprotect(mapping[1], mapping[2], 3) == 0 then
        kernel.ffi.fill(mapping[1], mapping[2] < 65536 and mapping[2] or 65536, 255)
      end
    end]], loads = true },
  ["looks for what the workers have"] = { [[
    assert(#kernel.shared() == 0, "there is shared memory")
    local own = kernel.mailbox()
    for fd = 3, 255 do
      local kind, size = kernel.ffi.new "int[1]", kernel.ffi.new("unsigned[1]", 4)
      assert(fd == own or kernel.C.getsockopt(fd, 1, 3, kind, size) < 0, "there is a socket")
    end]], loads = true },
  ["sends nonsense to each socket"] = { [[
    local bytes = kernel.ffi.new("char[70000]", 1)
    for fd = 3, 255 do
      for _, size in ipairs { 0, 1, 8, 24, 40, 64, 300, 600, 1040, 4200, 70000 } do
        kernel.C.send(fd, bytes, size, 64)
      end
    end]] },
  ["takes away what comes to each socket"] = { [[
    local bytes = kernel.ffi.new "char[70000]"
    for _ = 1, 200 do
      for fd = 3, 255 do kernel.C.recv(fd, bytes, 70000, 64) end
      kernel.C.poll(nil, 0, 2)
    end]] },
  ["closes all descriptors"] = { "for fd = 0, 255 do kernel.C.close(fd) end" },
  ["stops itself"] = { "kernel.check(kernel.C.kill(kernel.C.getpid(), 19), 'kill')" },
  ["ends itself"] = { "kernel.C._exit(0)" },
  ["jumps nowhere"] = { "kernel.ffi.cast('void (*)(void)', 8)()" },
  ["leaves children behind"] = { "for _ = 1, 5 do if kernel.C.fork() == 0 then kernel.stay() end end" },
  ["wants memory without end"] = { "local list = {} while true do list[#list + 1] = ('x'):rep(2 ^ 20 + #list) end" },
  ["prints without end"] = { "while true do io.stderr:write(('x'):rep(1000), '\\n') end" },
  ["loops without end"] = { "while true do end" },
  ["kills the engine"] = { "kernel.check(kernel.C.kill(kernel.C.getppid(), 9), 'kill')" },
}

describe("a hostile transform that comes by a reload", function()
  local run

  after_each(piped_run.stop)

  local function said(text) return select(2, run:stderr():gsub(text, "")) end
  local function outcomes() return said "of the transforms runs now" + said "reload: refused" end

  for name, attack in pairs(attacks) do
    it("a hostile transform that comes by a reload harms nothing that runs: it " .. name, function()
      local fed = 0
      run = piped_run.start(PIPELINE, nil, { ["t.lua"] = prefix "one",
        ["kernel.lua"] = io.open "spec/escape/kernel.lua":read "*a" })
      local function feed(count) fed = piped_run.feed_numbers(count) end
      local function until_through()
        wait.until_true(function() return select(2, piped_run.read "out":gsub("\n", "")) >= fed end,
          function() return fed .. " messages; " .. piped_run.read "out":sub(-200) .. run:stderr():sub(-3000) end)
      end
      feed(20)
      until_through()
      piped_run.write("t.lua", prefix("two", "local kernel = require 'kernel'\n" .. attack[1] .. "\n"))
      local before = outcomes()
      run:signal "HUP"
      wait.until_true(function()
        feed(1)
        return outcomes() > before
      end, function() return "an outcome; " .. run:stderr():sub(-3000) end)
      if attack.loads then assert.equal(1, said "of the transforms runs now", run:stderr()) end
      feed(20)
      until_through()
      piped_run.write("t.lua", prefix "good")
      before = said "of the transforms runs now"
      run:signal "HUP"
      wait.until_true(function() return said "of the transforms runs now" > before end,
        function() return "the next reload; " .. run:stderr():sub(-3000) end)
      feed(5)
      until_through()
      wait.unwatch(run)
      run:signal "TERM"
      assert.equal(0, run:wait(), run:stderr())
      local seen, words = {}, {}
      for word, number in piped_run.read "out":gmatch "(%w+) (%d+)\n" do
        assert.is_nil(seen[number], "message " .. number .. " comes twice")
        seen[number], words[tonumber(number)] = true, word
      end
      assert.equal(fed, #words)
      assert.equal("good", words[fed])
      assert.equal("one", words[1])
    end)
  end
end)
