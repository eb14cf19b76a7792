-- SPDX-License-Identifier: MIT
local cjson = require "cjson"
local dashboard = require "tidemill.cli.dashboard"

local published

-- An observer that keeps what is published.
local function observer()
  published = {}
  return { server = {}, publish = function(_, path, type, text) published[path] = { type = type, text = text } end }
end

local function snapshot(second)
  return { time = second * 1000, rates = { read = second }, totals = { lag = 5, read = 7 }, name = "x",
    steps = { { closes = { size = 1 }, sizes = {}, processes = 2, batches_in_progress = 1, workers = { {} } } } }
end

describe("the part of the dashboard", function()
  it("is none without HTTP", function()
    assert.is_nil(dashboard.new {})
  end)

  it("publishes each file that its pages load", function()
    dashboard.new(observer())
    for _, page in ipairs { "/", "/tuning" } do
      for path in published[page].text:gmatch('"(/[%w_.]+)"') do assert.is_table(published[path], path) end
    end
    for path in published["/dashboard.js"].text:gmatch('from "%.(/[%w_.]+)"') do
      assert.is_table(published[path], path)
    end
    assert.matches("^text/html", published["/"].type)
    assert.matches("^text/javascript", published["/dom.js"].type)
  end)

  it("has a text in place of Chart.js where it is not installed", function()
    local installed = dashboard.CHARTS
    dashboard.CHARTS = "/no/such/chart.js"
    finally(function() dashboard.CHARTS = installed end)
    dashboard.new(observer())
    assert.equal("// /no/such/chart.js is not installed\n", published["/chart.js"].text)
  end)

  it("tells of each metric what it is and what to do, those of the tuning page first and in its order", function()
    dashboard.new(observer())
    local metrics = cjson.decode(published["/metrics.json"].text).list
    assert.equal(#require("tidemill.metrics.list"), #metrics)
    local first = {}
    for i = 1, 7 do first[i] = metrics[i].full_name:match("multiprocessing%.(.*)") end
    assert.same({ "batches_in_progress", "processes", "batch.size.msg", "batch.size.bytes", "batch.input.overflow",
      "batch.output.overflow", "batch.backpressure" }, first)
    assert.is_nil(metrics[8].tuning)
    assert.is_string(metrics[5].advice)
  end)

  it("keeps what charts show of ten minutes, one point in five seconds", function()
    local part = dashboard.new(observer())
    assert.same({}, cjson.decode(published["/history"].text).list)
    for second = 1, 900 do part:second(snapshot(second)) end
    local points = cjson.decode(published["/history"].text).list
    assert.same({ 120, 301000, 896000 }, { #points, points[1].time, points[120].time })
    assert.same({ read = 301 }, points[1].rates)
    assert.same({ lag = 5 }, points[1].totals)
    assert.same({ closes = { size = 1 }, sizes = {}, processes = 2, batches_in_progress = 1 }, points[1].steps[1])
  end)
end)
