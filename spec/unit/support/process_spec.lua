-- SPDX-License-Identifier: MIT
local process = require "spec.support.process"
local wait = require "spec.support.wait"

describe("a process of a spec", function()
  after_each(process.stop_all)

  it("a process of a spec tells its exit code and what it wrote", function()
    local code, out, err = process.run({ "sh", "-c", "echo $WORD; pwd; echo oops >&2; exit 7" },
      { env = { WORD = "hello" }, cwd = "/" })
    assert.equal(7, code)
    assert.equal("hello\n/\n", out)
    assert.equal("oops\n", err)
  end)

  it("a process of a spec tells the signal that ended it", function()
    local one = process.start { "sleep", "60" }
    assert.is_nil(one:code())
    assert.is_true(one:signal("KILL"))
    assert.equal(137, one:wait(60))
    assert.is_false(one:signal("TERM"))
  end)

  it("a process of a spec does not outlive stop_all, nor do its children", function()
    local one = process.start { "sh", "-c", "trap '' TERM; sleep 61 & echo $!; wait; wait" }
    local child = wait.until_true(function() return tonumber(one:stdout():match("%d+")) end, "the child's pid")
    one:signal("KILL")
    process.stop_all()
    wait.until_true(function()
      local status = io.open(("/proc/%d/status"):format(child))
      return not status or status:read("*a"):find("State:%s+Z")
    end, "the end of the child")
  end)

  it("a process of a spec reports a program that is not there", function()
    assert.has_error(function() process.start { "no-such-program-anywhere" } end)
  end)
end)

describe("wait.until_true", function()
  it("wait.until_true returns what the function returned", function()
    local count = 0
    assert.equal(3, wait.until_true(function() count = count + 1 return count == 3 and count end, 5))
  end)

  it("wait.until_true names what did not come", function()
    local ok, text = pcall(wait.until_true, function() return false end, 0.02, "the moon")
    assert.is_false(ok)
    assert.truthy(text:find("the moon", 1, true))
  end)

  it("wait.until_true fails at once, with its last words, when a process that is watched has ended", function()
    local one = process.start { "sh", "-c", "echo 'the disk is gone' >&2; exit 75" }
    wait.watch(one)
    local from = wait.now()
    local ok, text = pcall(wait.until_true, function() return false end, 600, "the moon")
    one:stop()
    assert.is_false(ok)
    assert.is_true(wait.now() - from < 300)
    for _, word in ipairs { "the moon", "exit code 75", "the disk is gone" } do
      assert.truthy(text:find(word, 1, true), text)
    end
  end)

  it("wait.until_true does not mind the end of a process that was told to end, or ended well", function()
    local told, well = process.start { "sleep", "60" }, process.start { "true" }
    wait.watch(told)
    wait.watch(well)
    told:signal("TERM")
    assert.is_true(wait.until_true(function() return not told:running() and not well:running() end))
    assert.is_true(wait.until_true(function() return true end))
    process.stop_all()
  end)
end)
