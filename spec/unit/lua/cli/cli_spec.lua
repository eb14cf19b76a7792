-- SPDX-License-Identifier: MIT
-- The command line without an engine: help, completion, usage errors. spec/flow/cli_spec.lua runs the program.
local exit_code = require "tidemill.plan.exit_code"
local ffi = require "ffi"
local list = require "tidemill.steps.list"
local command_line = require "spec.support.command_line"
local pipeline_file = require "spec.support.pipeline_file"
local stub = require "luassert.stub"
require "tidemill.run.ffi"

local run = command_line.run

describe("the command line", function()
  after_each(pipeline_file.remove_all)

  it("the command line without a command, with a wrong one or a wrong flag is exit 64 with the nearest", function()
    local code, out, err = run()
    assert.same({ 64, "" }, { code, out })
    assert.is_truthy(err:find("tidemill: a command is required", 1, true))
    code, out, err = run("chekc", "x.lua")
    assert.same({ 64, "" }, { code, out })
    assert.is_truthy(err:find("unknown command 'chekc'\nDid you mean 'check'?", 1, true))
    code, out, err = run("run", "--until-ned", "x.lua")
    assert.same({ 64, "" }, { code, out })
    assert.is_truthy(err:find("--until-end", 1, true))
    code, out, err = run("run", "--mock", "x.lua")
    assert.same({ 64, "" }, { code, out })
    assert.is_truthy(err:find("unknown option '--mock'; did you mean \"--mock-kafka\"?", 1, true))
    assert.equal(64, (run("run")))
    assert.equal(64, (run("run", "x.lua", "y.lua")))
    assert.equal(64, (run("plan", "x.lua", "--format", "svg")))
    assert.equal(64, (run("run", "x.lua", "--set", "novalue")))
  end)

  it("the command line refuses flags that contradict each other", function()
    for text, flags in pairs {
      ["--mock-kafka and --input exclude each other"] = { "--mock-kafka", "--input", "a" },
      ["--mock-kafka and --until-end exclude each other"] = { "--mock-kafka", "--until-end" },
      ["--feed needs --mock-kafka"] = { "--feed", "a" },
      ["--output-format needs --input or --output"] = { "--output-format", "json" },
      ["--dead-letters needs --input or --output or --mock-kafka"] = { "--dead-letters", "a" },
    } do
      local code, _, err = run("run", "x.lua", unpack(flags))
      assert.same({ 64, "tidemill: " .. text .. "\n" }, { code, err })
    end
  end)

  it("the command line refuses --mock-kafka and --until-end without a topic of Kafka", function()
    local path = pipeline_file.write('local tide = require "tidemill" return tide.pipeline "x" { tide.file_source '
      .. '{ path = "-" } }')
    local code, out, err = run("run", path, "--mock-kafka")
    assert.same({ 64, "", "tidemill: --mock-kafka: the pipeline does not read from Kafka\n" }, { code, out, err })
    path = pipeline_file.write('local tide = require "tidemill" return tide.pipeline "x" { tide.kafka_source '
      .. '{ brokers = "b", pattern = "^a", group = "g" } }')
    code, out, err = run("run", path, "--mock-kafka")
    assert.same({ 64, "", "tidemill: --mock-kafka: the pipeline reads topics by the pattern ^a; name one to make\n" },
      { code, out, err })
  end)

  it("the command line gives help on stdout with exit 0", function()
    for _, arguments in ipairs { { "--help" }, { "-h" }, { "help" }, { "run", "--help" }, { "help", "run" } } do
      local code, out, err = run(unpack(arguments))
      assert.same({ 0, "" }, { code, err })
      assert.is_truthy(out:find("Usage: tidemill", 1, true))
    end
  end)

  it("the command line has help on every step and setting, with its options, types and defaults", function()
    for _, spec in ipairs(list) do
      local code, out = run("help", spec.name)
      assert.equal(0, code)
      assert.is_truthy(out:find("tide." .. spec.name .. ": " .. spec.summary, 1, true))
      for _, option in ipairs(spec.options) do assert.is_truthy(out:find("  " .. option.name .. "  (", 1, true)) end
    end
    local _, out = run("help", "tide.commit_offsets")
    assert.is_truthy(out:find('policy  ("immediate", "once_per_second", table; default once_per_second)', 1, true))
    assert.is_truthy(out:find("policy.min_time  (time, in seconds; default none)", 1, true))
  end)

  it("the command line has no help on what is not there, but the nearest", function()
    local code, out, err = run("help", "prodce")
    assert.same({ 64, "", 'tidemill: no command, step or setting "prodce"; did you mean "produce"?\n' },
      { code, out, err })
    code, out, err = run("help", "run_task_in_threads")
    assert.same({ 64, "" }, { code, out })
    assert.is_truthy(err:find('"run_task_in_threads" is refused: threads would share', 1, true))
    for _, name in ipairs { "tide.lookup", "json", "grok.match" } do
      assert.same({ 64, "", ('tidemill: "%s" is no command, step or setting, but for functions: docs/library.md tells '
        .. "of it\n"):format(name) }, { run("help", name) })
    end
  end)

  it("the command line completes commands, flags, steps and settings in three shells", function()
    for _, shell in ipairs { "bash", "zsh", "fish" } do
      local code, out = run("completion", shell)
      assert.equal(0, code)
      for _, name in ipairs { "check", "dead-letters", "run_task_with_multiprocessing" } do
        assert.is_truthy(out:find(name, 1, true), shell .. ": " .. name)
      end
      assert.matches("%f[%w_]map%f[^%w_]", out, 1, false, shell .. " does not complete the short name")
    end
    assert.equal(64, (run("completion", "tcsh")))
  end)

  it("the command line has a broken program end with exit 70", function()
    local broken = stub(require("tidemill.cli.plan"), "run", function() error("oops") end)
    local code, _, err = run("plan", "x.lua")
    broken:revert()
    assert.equal(70, code)
    assert.is_truthy(err:find("internal error, please report it: .*oops"))
  end)

  it("the command line shows a plan, or all faults with the exit code of the worst", function()
    local path = pipeline_file.write('local tide = require "tidemill"\nreturn ' .. pipeline_file.around():sub(8))
    local code, out, err = run("plan", path)
    assert.same({ 0, "" }, { code, err })
    assert.is_truthy(out:find('^pipeline "x"'))
    code, out = run("plan", path, "--format", "dot")
    assert.equal(0, code)
    assert.is_truthy(out:find("^digraph"))
    code, out, err = run("plan", "/no/such.lua")
    assert.same({ 66, "", "/no/such.lua: No such file or directory\n" }, { code, out, err })
  end)
end)

describe("the exit codes", function()
  it("the exit codes are those that the engine answers with", function()
    for name, status in pairs { USAGE = "TIDE_EUSAGE", DATA = "TIDE_EDATA", NO_INPUT = "TIDE_ENOINPUT",
      UNREACHED = "TIDE_EUNREACHED", INTERNAL = "TIDE_EINTERNAL", TEMPORARY = "TIDE_ETEMPORARY",
      FENCED = "TIDE_EFENCED", CONFIG = "TIDE_ECONFIG" } do
      assert.equal(-tonumber(ffi.C[status]), exit_code[name], name)
    end
  end)
end)
