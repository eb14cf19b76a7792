-- SPDX-License-Identifier: MIT
-- Horizontal bars as SVG, side by side for several quantities of the same things.
local plot = {}

local LABEL, BAR, GAP, ROW, TOP, BOTTOM = 350, 300, 110, 24, 60, 34

-- As docs/pictures has it (scripts/site/pictures.sh).
local DARK = "@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .tick { fill: #9198a1 } "
  .. ".grid { stroke: #30363d } .spread { stroke: #e6edf3 } .page { fill: #0d1117 } }"

local function escape(text)
  return (text:gsub("&", "&amp;"):gsub("<", "&lt;"):gsub(">", "&gt;"))
end

-- Where a value lies on an axis, from 0 to 1. A logarithmic axis begins at `least`.
local function share(panel, value)
  if not panel.logarithmic then return value / panel.most end
  return math.max(0, math.log(value / panel.least) / math.log(panel.most / panel.least))
end

-- The end of an axis: a round number above the largest value.
local function above(value)
  local unit = 10 ^ math.floor(math.log10(value))
  for _, factor in ipairs { 1, 2, 5, 10 } do
    if factor * unit >= value then return factor * unit end
  end
end

local function set_axis(panel, rows)
  local least, most = math.huge, 0
  for _, row in ipairs(rows) do
    least, most = math.min(least, row[panel.name].low), math.max(most, row[panel.name].high)
  end
  panel.most = above(most)
  if panel.logarithmic then
    panel.least = 10 ^ math.floor(math.log10(least * 0.7))
    panel.most = 10 ^ math.ceil(math.log10(most))
  end
end

local function ticks(panel)
  local values = {}
  if panel.logarithmic then
    local value = panel.least
    while value <= panel.most * 1.001 do
      values[#values + 1] = value
      value = value * 10
    end
  else
    for i = 0, 4 do values[#values + 1] = panel.most * i / 4 end
  end
  return values
end

local function line(out, ...)
  out[#out + 1] = string.format(...)
end

local function draw_panel(out, panel, rows, left)
  local height = #rows * ROW
  line(out, '<text x="%d" y="%d" class="head">%s</text>', left, TOP - 26, escape(panel.title))
  for _, value in ipairs(ticks(panel)) do
    local x = left + share(panel, value) * BAR
    line(out, '<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" class="grid"/>', x, TOP - 6, x, TOP + height)
    line(out, '<text x="%.1f" y="%d" class="tick">%s</text>', x, TOP + height + 16, panel.show(value))
  end
  for i, row in ipairs(rows) do
    local one, y = row[panel.name], TOP + (i - 1) * ROW
    local width = math.max(1, share(panel, one.median) * BAR)
    local low, high = left + share(panel, one.low) * BAR, left + share(panel, one.high) * BAR
    line(out, '<rect x="%d" y="%d" width="%.1f" height="%d" class="%s"/>', left, y, width, ROW - 9, row.kind)
    line(out, '<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="spread"/>', low, y + (ROW - 9) / 2, high,
      y + (ROW - 9) / 2)
    line(out, '<text x="%.1f" y="%d" class="value">%s</text>', math.max(left + width, high) + 6, y + ROW - 12,
      panel.show(one.median))
  end
end

--- Returns the SVG. rows = { { title, kind = a class of `colours`, NAME = { median, low, high } ... } ... }; panels =
--- { { name = NAME, title, show = function(value), logarithmic } ... }; colours = { { class, colour, meaning } ... }.
function plot.bars(rows, panels, colours, note)
  local out, height = {}, #rows * ROW
  local width = LABEL + #panels * (BAR + GAP)
  line(out, '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif">', width,
    TOP + height + BOTTOM + 40)
  line(out, "<style>text { font-size: 12px; fill: #222 } .head { font-size: 14px; font-weight: bold } "
    .. ".tick { text-anchor: middle; fill: #555; font-size: 11px } .label { text-anchor: end } "
    .. ".grid { stroke: #ddd } .spread { stroke: #222; stroke-width: 1.5 }")
  for _, colour in ipairs(colours) do line(out, ".%s { fill: %s }", colour[1], colour[2]) end
  line(out, ".page { fill: #fff }")
  line(out, "%s", DARK)
  line(out, "</style>")
  line(out, '<rect width="100%%" height="100%%" class="page"/>')
  for i, row in ipairs(rows) do
    line(out, '<text x="%d" y="%d" class="label">%s</text>', LABEL - 10, TOP + (i - 1) * ROW + ROW - 12,
      escape(row.title))
  end
  for i, panel in ipairs(panels) do
    set_axis(panel, rows)
    draw_panel(out, panel, rows, LABEL + (i - 1) * (BAR + GAP))
  end
  local x, y = LABEL, TOP + height + BOTTOM + 6
  for _, colour in ipairs(colours) do
    line(out, '<rect x="%d" y="%d" width="12" height="12" class="%s"/>', x, y, colour[1])
    line(out, '<text x="%d" y="%d">%s</text>', x + 18, y + 11, escape(colour[3]))
    x = x + 30 + #colour[3] * 7
  end
  line(out, '<text x="20" y="%d">%s</text>', y + 32, escape(note))
  line(out, "</svg>")
  return table.concat(out, "\n") .. "\n"
end

return plot
