-- SPDX-License-Identifier: MIT
-- The program on kernels that lack a part of the sandbox, which fault points play (engine/proc/sandbox.c): it says what
-- does not hold, and does not start where it was told to hold.
local faults = require "spec.support.faults"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"

local PROGRAM = assert(io.popen "pwd"):read "*l" .. "/" .. faults.folder .. "/tidemill" -- from any folder
local NO_LANDLOCK, NO_SECCOMP = "sandbox.landlock=1+:errno:38", "sandbox.seccomp=1+:errno:38"
local DEBIAN_12 = "sandbox.landlock=1+:errno:2"

local PIPELINE = [[
local tide = require "tidemill"
return tide.pipeline "x" { tide.file_source { path = "in" },
  tide.run_task_with_multiprocessing { "t.lua", processes = 1 }, tide.file_sink { path = "-" },
  dlq = tide.dlq { path = "letters" }, trust = "standard" }]]
local TRANSFORM = [[
return function(message)
  if message.value == "write" then assert(io.open("made", "w")) end
  return message
end]]

describe("a kernel that lacks a part of the sandbox", function()
  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  -- Exit code, standard output and standard error of a command on the pipeline, and its folder.
  local function play(fault, command, ...)
    local path, folder = pipeline_file.write(PIPELINE, { ["t.lua"] = TRANSFORM, ["in"] = "a\nwrite\nb\n" })
    local code, out, err = process.run({ PROGRAM, command, path, ... }, { env = { TIDE_FAULTS = fault },
      cwd = folder })
    return code, out, err, folder
  end

  for fault, text in pairs {
    [NO_LANDLOCK] = "this kernel has no Landlock: a transform may read all files",
    [NO_SECCOMP] = "this kernel has no seccomp: a transform may start programs, open connections",
    [NO_LANDLOCK .. "," .. NO_SECCOMP] = "this kernel has no seccomp and no Landlock: a transform may start programs",
  } do
    it("has check and run say so: " .. text, function()
      for _, command in ipairs { "check", "run" } do
        local code, _, err = play(fault, command)
        assert.equal(0, code, err)
        assert.is_truthy(err:find("warn " .. text, 1, true), command .. ": " .. err)
      end
    end)

    it("does not start under trust = hardened: " .. text, function()
      for _, command in ipairs { "check", "run" } do
        local code, out, err = play(fault, command, "--trust", "hardened")
        assert.equal(78, code, command .. ": " .. err)
        assert.matches('trust = "hardened" needs', err)
        assert.equal("", command == "run" and out or "")
      end
    end)
  end

  it("lets nothing be written without Landlock all the same", function()
    local code, out, err, folder = play(NO_LANDLOCK, "run")
    assert.equal(0, code, err)
    assert.equal("a\nb\n", out)
    assert.is_nil(io.open(folder .. "/made"))
  end)

  it("is not Debian 12's: nothing is said, and hardened starts", function()
    local code, out, err = play(DEBIAN_12, "run", "--trust", "hardened")
    assert.equal(0, code, err)
    assert.is_falsy(err:find("this kernel", 1, true))
    assert.equal("a\nb\n", out)
  end)
end)
