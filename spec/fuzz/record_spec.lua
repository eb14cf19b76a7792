-- SPDX-License-Identifier: MIT
-- The record of what the fuzz targets have executed (scripts/fuzz/record.tsv), which docs/fuzzing.md shows.
local fuzz_record = require "scripts.dev.fuzz_record"

describe("the record of fuzzing", function()
  it("is summed up by target, with its commits", function()
    assert.same({
      { target = "http", executions = 30, seconds = 4, findings = 1, commits = { "aa", "bb" } },
      { target = "json", executions = 5, seconds = 1, findings = 0, commits = { "aa" } },
    }, fuzz_record.sums "json\taa\t5\t1\t0\nhttp\taa\t10\t1\t1\nhttp\tbb\t20\t3\t0\n")
  end)

  it("is refused where a row is none, by this row", function()
    assert.has_error(function() fuzz_record.sums "json\taa\tmany\t1\t0\n" end,
      "scripts/fuzz/record.tsv: no row: json\taa\tmany\t1\t0")
  end)

  it("is the table of the document, and all targets have their row", function()
    local function read(path)
      local file = assert(io.open(path, "rb"))
      local text = file:read "*a"
      file:close()
      return text
    end
    local page, text = read "docs/fuzzing.md", read "scripts/fuzz/record.tsv"
    assert.equal(page, fuzz_record.page(page, text))
    local pipe = assert(io.popen "cd scripts/fuzz/targets && ls | sed 's/[.].*//'")
    for target in pipe:lines() do assert.is_truthy(("\n" .. text):find("\n" .. target .. "\t", 1, true), target) end
    pipe:close()
  end)
end)
