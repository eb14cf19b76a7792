-- SPDX-License-Identifier: MIT
-- The pages of a running pipeline in a real browser. One pipeline and one browser serve all tests, in this order: its
-- input block is too small on purpose, and some messages fail with a text that would be a script in a careless page.
local browser = require "spec.support.browser"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local PROGRAM = require("spec.support.program").path

local PIPELINE = [[
local tide = require "tidemill"
return tide.pipeline "clicks" {
  tide.file_source { path = "-" },
  tide.run_task_with_multiprocessing { processes = 2, input_block_size = 4096, function(message)
    if message.offset %% 5000 == 7 then error("<img src=x onerror=alert(1)><script>alert(2)</script>\27[31m") end
    return message
  end },
  tide.file_sink { path = "-" } }
]]

local ATTACK = "<img src=x onerror=alert(1)><script>alert(2)</script>\\u{1b}[31m"

local pipeline, page, address

local function start_pipeline()
  local lines = ("some message of a line\n"):rep(20000)
  local path, folder = pipeline_file.write(PIPELINE:gsub("%%%%", "%%"), { lines = lines })
  pipeline = process.start { "/bin/sh", "-c", ("while cat %s/lines; do :; done | exec \"$0\" run %s --input - --output "
    .. "/dev/null --dead-letters /dev/null --metrics-addr 0"):format(folder, path), PROGRAM }
  address = wait.until_true(function() return pipeline:stderr():match("HTTP on (http://[%w.:]+/)") end, "the address")
end

-- The ratio of the contrast of two colours of the style sheet (WCAG 2).
local CONTRAST = [[ (() => {
  const style = getComputedStyle(document.documentElement);
  const light = (name) => {
    const value = style.getPropertyValue(name).trim();
    const parts = [1, 3, 5].map((at) => parseInt(value.slice(at, at + 2), 16) / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const [a, b] = [light("%s"), light("%s")].sort((x, y) => y - x);
  return (a + 0.05) / (b + 0.05);
})() ]]

describe("the dashboard", function()
  setup(function()
    start_pipeline()
    page = browser.start()
    page:look(1280, 900)
    page:open(address)
  end)

  teardown(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  it("names the limit, with what to do, and shows the metric that says so", function()
    local said = page:wait_for("#verdict-text", "Limit: input block of step 1")
    assert.truthy(said:find("What to do: ", 1, true) and said:find("input_block_size", 1, true), said)
    local metrics = page:wait_for("#tuning-metrics", "batch.input.overflow")
    local value = metrics:match("batch%.input%.overflow%s+([%d,]+)")
    assert.is_true(tonumber((value:gsub(",", ""))) > 0)
    assert.truthy(metrics:find("Raise input_block_size, or leave it automatic.", 1, true), metrics)
  end)

  it("shows texts of the pipeline as text, whatever they hold", function()
    page:wait_for("#dead", ATTACK)
    assert.equal(2, page:evaluate "document.querySelectorAll('script').length")
    assert.equal(0, page:evaluate "document.querySelectorAll('img').length")
  end)

  it("shows workers, rates and charts", function()
    page:wait_for("#tiles", "in all")
    page:wait_for("#steps", "Workers of step 1")
    assert.equal(6, page:evaluate "document.querySelectorAll('canvas[aria-label]').length")
    page:wait_for("#charts", "Now: read ")
  end)

  it("can be read without seeing it: titles, headings of tables, texts for charts", function()
    assert.equal(0, page:evaluate "document.querySelectorAll('table:not(:has(caption))').length")
    assert.equal(0, page:evaluate "document.querySelectorAll('th:not([scope])').length")
    assert.equal(0, page:evaluate "document.querySelectorAll('progress:not([aria-label])').length")
    assert.equal(1, page:evaluate "document.querySelectorAll('h1').length")
  end)

  for _, dark in ipairs { false, true } do
    it(("fits a phone and has enough contrast when the system is %s"):format(dark and "dark" or "light"), function()
      page:look(390, 844, dark)
      wait.until_true(function()
        wait.pause(50)
        return page:evaluate "document.documentElement.scrollWidth" <= 390
      end, "a page that is not wider than a phone")
      for _, front in ipairs { "text", "soft", "accent", "warn", "good", "bad" } do
        for _, back in ipairs { "page", "card" } do
          local ratio = page:evaluate(CONTRAST:format("--" .. front, "--" .. back))
          assert.is_true(ratio >= 4.5, ("%s on %s: %.2f"):format(front, back, ratio))
        end
      end
      assert.is_true(page:evaluate(CONTRAST:format("--warn", "--warn-page")) >= 4.5)
      assert.is_true(page:evaluate(CONTRAST:format("--bad", "--bad-page")) >= 4.5)
    end)
  end

  it("has a page with the tuning steps and their state", function()
    page:look(1280, 900)
    page:open(address .. "tuning")
    page:wait_for("#procedure", "do this now")
    local first = page:text "#procedure li"
    assert.truthy(first:find("Input block", 1, true) and first:find("do this now", 1, true), first)
    assert.equal(4, page:evaluate "document.querySelectorAll('#procedure li').length")
  end)

  it("works without charts where Chart.js is not installed, and says so", function()
    local hidden = page:call("Page.addScriptToEvaluateOnNewDocument", {
      source = "Object.defineProperty(globalThis, 'Chart', { get() { return undefined; }, set() {} })" })
    page:open(address)
    page:wait_for("#charts-missing", "install the package libjs-chart.js")
    page:wait_for("#tiles", "in all")
    assert.equal(0, page:evaluate "document.querySelectorAll('canvas').length")
    page:call("Page.removeScriptToEvaluateOnNewDocument", hidden)
  end)

  it("asks nobody but the pipeline, and logs no error", function()
    assert.same({}, page.errors)
    assert.is_true(#page.requests > 5)
    for _, url in ipairs(page.requests) do
      assert.truthy(url:sub(1, #address) == address or url:find("^data:") or url == "about:blank", url)
    end
  end)

  it("says when the pipeline is gone", function()
    -- It may be there for a moment: on a busy machine an answer may take longer than is waited for.
    wait.until_true(function() return page:text "#gone" == nil end, "a page whose pipeline answers")
    pipeline:stop()
    page:wait_for("#gone", "The pipeline has not answered")
    assert.truthy(page:evaluate("document.title"):find("^! "))
  end)
end)
