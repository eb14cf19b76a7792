-- SPDX-License-Identifier: MIT
-- The manual pages are whole: a page for each command, a section for each step and setting with all of its options.
-- That they are what the tables say is checked by text_spec.lua, their markup by scripts/dev/lint.sh (mandoc).
local cli = require "tidemill.cli"
local exit_code = require "tidemill.plan.exit_code"
local files = require "spec.house.files"
local reference = require "tidemill.cli.reference"
local steps = require "tidemill.steps.list"

local function escape(text) return (text:gsub("%-", "\\-")) end

local function has(page, text, where)
  assert.is_truthy(files.read(page):find(text, 1, true), ("%s: %s is not there"):format(where or page, text))
end

describe("the manual pages", function()
  local _, commands = cli.parser()

  it("have one for each command, with all of its flags, and no other", function()
    local expected = { "docs/man/tidemill-pipeline.5", "docs/man/tidemill.1" }
    for _, name in ipairs(cli.commands) do
      local page = ("docs/man/tidemill-%s.1"):format(name)
      expected[#expected + 1] = page
      has("docs/man/tidemill.1", ("tidemill\\-%s (1)"):format(name))
      local parts = { commands[name].command }
      for _, action in ipairs(commands[name].actions or {}) do parts[#parts + 1] = action.command end
      for _, part in ipairs(parts) do
        for flag in part:get_help():gmatch "%-%-[%l-]+" do has(page, escape(flag)) end
      end
      for _, row in ipairs(exit_code.list) do has(page, ("\n.TP\n\\fB%s\\fR\n"):format(row[1])) end
    end
    table.sort(expected)
    assert.same(expected, files.list({ "docs/man" }, { "*" }))
  end)

  it("have a section for each step and setting, with each option", function()
    for _, spec in ipairs(steps) do
      local page = files.read "docs/man/tidemill-pipeline.5"
      local from = assert(page:find((".SH %s\n"):format("tide." .. spec.name), 1, true), spec.name)
      local section = page:sub(from, page:find("\n.SH", from, true))
      for _, option in ipairs(reference.all_of(spec)) do
        assert.is_truthy(section:find(("\\fB%s\\fR ("):format(escape(option.name)), 1, true), option.name)
      end
    end
  end)
end)
