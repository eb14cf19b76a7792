-- SPDX-License-Identifier: MIT
-- Reads a page in the text format of Prometheus, strictly: what is no line of it raises an error.
local exposition = {}

local UNESCAPED = { ["\\\\"] = "\\", ['\\"'] = '"', ["\\n"] = "\n" }

local function labels_of(text)
  local labels, rest = {}, text
  while rest ~= "" do
    local name, at = rest:match '^([%a_][%w_]*)="()'
    assert(name, "no label: " .. rest)
    local stop = at
    while rest:sub(stop, stop) ~= '"' do
      assert(stop <= #rest, "no end: " .. rest)
      stop = stop + (rest:sub(stop, stop) == "\\" and 2 or 1)
    end
    assert(not labels[name], "twice: " .. name)
    labels[name] = rest:sub(at, stop - 1):gsub("\\.", UNESCAPED)
    rest = rest:sub(stop + 1):gsub("^,", "")
  end
  return labels
end

--- Returns { samples = array of { name, labels, value, series = text up to the value }, types = { family = type } }.
function exposition.parse(text)
  local page = { samples = {}, types = {}, help = {} }
  for line in text:gmatch "([^\n]*)\n" do
    local word, name, rest = line:match "^# (%u+) ([%a_:][%w_:]*) (.*)$"
    if word == "TYPE" then
      assert(not page.types[name], "two families: " .. name)
      page.types[name] = rest
    elseif word == "HELP" then
      page.help[name] = rest
    else
      local series, value = line:match "^(.*) (%S+)$"
      local sample, labels = series:match "^([%a_:][%w_:]*)(.*)$"
      assert(tonumber(value), "no number: " .. line)
      page.samples[#page.samples + 1] = { name = sample, labels = labels_of(labels:match "^{(.*)}$" or ""),
        value = tonumber(value), series = series }
    end
  end
  return page
end

--- The sum of all samples of a name whose labels have these values.
function exposition.sum(page, name, labels)
  local sum
  for _, sample in ipairs(page.samples) do
    local fits = sample.name == name
    for label, value in pairs(labels or {}) do fits = fits and sample.labels[label] == value end
    if fits then sum = (sum or 0) + sample.value end
  end
  return sum
end

return exposition
