-- SPDX-License-Identifier: MIT
-- Versions of lookup tables: when a file is read anew, what a bad one leaves, and when memory is given back.
local ffi = require "ffi"
local C, arm = require("spec.support.faults").use()
local lookup = require "spec.support.lookup"
local lookups = require "tidemill.run.lookups"

local DIED = "the process that reads it died; was the file cut meanwhile, or is the machine out of memory?"

describe("the file of a lookup table", function()
  before_each(lookup.begin)
  after_each(function()
    arm ""
    lookup.finish()
  end)

  local name, users

  local function rows(version, count)
    local lines = { "id,version" }
    for i = 1, count or 3 do lines[i + 1] = i .. "," .. version end
    return table.concat(lines, "\n") .. "\n"
  end

  local function open()
    name = lookup.write("csv", rows "old")
    users = assert(lookup.open(name))
    assert.same({ state = C.TIDE_LOOKUP_READ, version = 1, rows = 3, name = name, problem = "" },
      (function(report) report.bytes = nil return report end)(lookup.report()))
  end

  local function version()
    lookups.begin()
    return users["1"] and users["1"].version
  end

  -- Other files on the machine may be written meanwhile; two writes within one tick of its clock look alike but for
  -- their size.
  local function change(bytes)
    lookup.write(nil, bytes, name)
  end

  it("that is changed is read anew, and is there between two jobs", function()
    open()
    lookups.begin()
    change(rows("new", 4))
    assert.equal(C.TIDE_LOOKUP_READ, lookup.await_report().state)
    assert.equal("old", users["1"].version)
    assert.equal(3, #users)
    assert.equal("new", version())
    assert.equal(4, #users)
  end)

  it("may have other columns than before", function()
    open()
    change "id,version,name\n1,two,Ada\n"
    lookup.await_report()
    lookups.begin()
    assert.same({ id = "1", version = "two", name = "Ada" }, users["1"])
  end)

  it("that is replaced by another one of its name is read anew", function()
    open()
    local other = lookup.write("csv", rows "new")
    assert(os.rename(lookup.path(other), lookup.path(name)))
    lookup.await_report()
    assert.equal("new", version())
  end)

  it("that is still being written is left alone until it stays as it is", function()
    open()
    for i = 4, 8 do
      change(rows("new", i))
      lookup.look()
      assert.equal(0, C.tide_lookups_builder(lookup.owner()))
    end
    lookup.look()
    assert.is_true(C.tide_lookups_builder(lookup.owner()) > 0)
    assert.equal(8, lookup.await_report().rows)
  end)

  it("that is bad keeps the rows as they were, is told once, and is read when it is good again", function()
    open()
    change "id,version\n1,new\n2\n"
    local report = lookup.await_report()
    assert.same({ C.TIDE_LOOKUP_FAILED, name .. ":3: 1 field, but 2 columns" }, { report.state, report.problem })
    for _ = 1, 5 do
      lookup.look()
      assert.is_nil(lookup.report())
    end
    assert.equal("old", version())
    change(rows("good", 5))
    assert.equal(C.TIDE_LOOKUP_READ, lookup.await_report().state)
    assert.equal("good", version())
  end)

  it("that is gone keeps the rows as they were, is told once, and is read when it is back", function()
    open()
    os.remove(lookup.path(name))
    local report = lookup.await_report()
    assert.same({ C.TIDE_LOOKUP_FAILED, name .. ": No such file or directory" }, { report.state, report.problem })
    for _ = 1, 5 do
      lookup.look()
      assert.is_nil(lookup.report())
    end
    assert.equal("old", version())
    change(rows("back", 2))
    lookup.await_report()
    assert.equal("back", version())
  end)

  it("that becomes a folder, or empty, keeps the rows as they were", function()
    open()
    change ""
    assert.equal(name .. ": is empty (0 bytes)", lookup.await_report().problem)
    os.remove(lookup.path(name))
    ffi.C.mkdir(lookup.path(name), 448)
    assert.equal(name .. ": is no regular file", lookup.await_report().problem)
    assert.equal("old", version())
    os.execute("rmdir " .. lookup.path(name))
  end)

  it("gives its memory back when the engine says that nobody reads it, and takes no third version before", function()
    local owner = lookup.owner()
    name = lookup.write("csv", rows("old", 50000))
    users = assert(lookup.open(name))
    local one = tonumber(C.tide_lookups_memory(owner))
    assert.is_true(one > 1000000)
    change(rows("new", 50001))
    assert.equal(2, lookup.await_report().version)
    for _ = 1, 3 do lookup.look() end
    assert.is_true(tonumber(C.tide_lookups_memory(owner)) > 1.8 * one)
    change(rows("third", 50002))
    C.tide_lookups_unused(owner, 0, 1) -- what it does not ask about, or there is not
    C.tide_lookups_unused(owner, 0, 3)
    C.tide_lookups_unused(owner, 1, 2)
    for _ = 1, 3 do lookup.look() end
    assert.equal(0, C.tide_lookups_builder(owner))
    C.tide_lookups_unused(owner, 0, 2)
    assert.is_true(tonumber(C.tide_lookups_memory(owner)) < 1.2 * one)
    assert.equal("new", version())
    C.tide_lookups_unused(owner, 0, 2) -- again: the version that is current stays
    assert.equal("new", version())
    assert.equal(3, lookup.await_report().version)
    assert.equal("third", version())
  end)

  it("is told to wait, once, when nobody has said for a minute that the version before is not read", function()
    open()
    change(rows("new", 4))
    lookup.await_report()
    change(rows("third", 5))
    local report, looks = nil, 0
    while not report do
      lookup.look()
      report, looks = lookup.report(), looks + 1
    end
    assert.is_true(looks > 120)
    assert.equal(C.TIDE_LOOKUP_FAILED, report.state)
    assert.equal(name .. ": has changed again, and is not read before a batch has ended that has been run for more "
      .. "than 60 s, with rows from before the last change", report.problem)
    for _ = 1, 300 do lookup.look() end
    assert.is_nil(lookup.report())
    assert.equal("new", version())
    C.tide_lookups_unused(lookup.owner(), 0, 2)
    assert.equal(C.TIDE_LOOKUP_READ, lookup.await_report().state)
    assert.equal("third", version())
  end)

  it("is shared by all that declare it alike, and there may be 16", function()
    open()
    local again = lookup.open(name)
    assert.equal("old", again["1"].version)
    assert.is_nil(lookup.report())
    for i = 2, 16 do assert(lookup.of("csv", "id\n" .. i .. "\n")) end
    assert.equal("16", lookup.open("t16.csv")["16"].id)
    local _, problem = lookup.of("csv", "id\n")
    assert.equal("t17.csv: there are more than 16 lookup tables", problem)
  end)

  it("keeps its rows when the process that reads it dies, or cannot be had, and is read at its next change", function()
    open()
    for fault, text in pairs { ["lookup.build=1:kill9"] = DIED, ["lookup.fork=1:errno:11"] = "no process to read it: "
      .. "Resource temporarily unavailable" } do
      arm(fault)
      change(rows(fault, 4))
      assert.equal(name .. ": " .. text, lookup.await_report().problem)
      assert.equal("old", version())
    end
    change(rows("new", 5))
    lookup.await_report()
    assert.equal("new", version())
  end)

  it("that is bad, or whose reading dies, is no table at the start", function()
    arm "lookup.build=1:kill9"
    assert.same({ nil, "t1.csv: " .. DIED }, { lookup.of("csv", "id\n1\n") })
    arm "lookup.fork=1:errno:11"
    assert.same({ nil, "t2.csv: no process to read it: Resource temporarily unavailable" },
      { lookup.of("csv", "id\n1\n") })
  end)
end)
