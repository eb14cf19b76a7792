-- SPDX-License-Identifier: MIT
-- Where a dead letter says that an error was: always a place in the user's files.
local pipeline_file = require "spec.support.pipeline_file"
local tide = require "tidemill"
local testing = require "tidemill.testing"

describe("the place of an error", function()
  local test

  after_each(function()
    if test then test:close() end
    test = nil
    pipeline_file.remove_all()
  end)

  -- The error of the one message, for a transform file; PATH stands for its path.
  local function error_of(text, wrap)
    local path = pipeline_file.write(text)
    test = testing.steps { wrap and wrap(path) or tide.run_task_with_multiprocessing {
      function(m) return m end, path, function(m) return m end, processes = 1 } }
    test:feed("{bad"):finish()
    assert.equal(1, #test:rejects())
    return (test:rejects()[1].error:gsub(path:gsub("%p", "%%%0"), "PATH"))
  end

  it("the place of an error is its line", function()
    assert.equal("PATH:2: boo", error_of 'return function(m)\n  error("boo")\nend')
  end)

  it("the place of an error is the function's when a tail call of C raised it: its own frame is gone then", function()
    assert.matches("^PATH:2: Expected object key string",
      error_of 'local cjson = require "cjson"\nreturn function(m)\n  return cjson.decode(m.value)\nend')
    assert.equal("PATH:1: boo", error_of 'return function(m)\n  return error("boo")\nend')
  end)

  it("the place of an error is the function's when it blames its caller", function()
    assert.equal("PATH:2: boo", error_of '\nreturn function(m)\n  error("boo", 2)\nend')
  end)

  it("the place of an error is the helper's that raised it behind a tail call", function()
    local text = 'local function help() error("boo") end\nreturn function(m) return help(m) end'
    assert.equal("PATH:1: boo", error_of(text))
  end)

  it("the place of an error is the function's in a batch, too", function()
    assert.equal("PATH:2: boo", error_of('\nreturn { batch = function(m)\n  return error("boo")\nend }', function(path)
      return tide.run_task_with_multiprocessing { path, processes = 1 }
    end))
  end)

  it("the place of an error is the function's in reduce, too", function()
    assert.equal("PATH:2: boo", error_of('\nreturn function(acc, m)\n  return error("boo")\nend', function(path)
      return tide.reduce { path, initial_value = 0, max_batch_size = 1 }
    end))
  end)
end)
