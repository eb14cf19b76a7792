-- SPDX-License-Identifier: MIT
-- cli/profile/svg.lua: draws the stacks of a profile as a flame graph: an SVG that stands alone, without scripts. The
-- width of a frame is its share of the samples; what it calls lies above it; its title, shown on hover, has name and
-- share.
local utf8 = require("tidemill.plan.utf8")

local svg = {}

local WIDTH, ROW, LEFT, HEAD, FOOT, LETTER = 1200, 18, 10, 44, 12, 6.6 -- pixels
local LEAST = 0.5 -- pixels: narrower frames are not drawn

local COLOUR = { user = "#f4a259", library = "#8cb4d9", own = "#d0d0d0", root = "#eeeeee" }

local function escape(text)
  return (text:gsub("[%z\1-\8\11\12\14-\31]", "?"):gsub("[&<>\"']",
    { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }))
end

-- XML allows only UTF-8, and not its last two characters of three bytes.
local function characters(text)
  return (utf8.clean(text):gsub("\239\191[\190\191]", "?"))
end

local function safe(text)
  return escape(characters(text))
end

local function child_of(node, frame)
  local child = node.children[frame.text]
  if not child then
    child = { text = frame.text, kind = frame.place and "user" or frame.own and "own" or "library", count = 0,
      children = {} }
    node.children[frame.text] = child
  end
  return child
end

-- The tree of the stacks, and how deep it is.
local function tree_of(stacks)
  local root, deepest = { text = "all samples", kind = "root", count = 0, children = {} }, 0
  for _, stack in ipairs(stacks) do
    local node = root
    root.count = root.count + stack.count
    for _, frame in ipairs(stack.frames) do
      node = child_of(node, frame)
      node.count = node.count + stack.count
    end
    deepest = math.max(deepest, #stack.frames)
  end
  return root, deepest
end

local function ordered(children)
  local list = {}
  for _, child in pairs(children) do list[#list + 1] = child end
  table.sort(list, function(a, b) return a.text < b.text end)
  return list
end

-- As much of a text as fits, by characters; nothing when that is too little to be read.
local function fitting(text, width)
  local most = math.floor((width - 6) / LETTER)
  if most < 3 then return "" end
  local plain = characters(text)
  local _, length = plain:gsub("[^\128-\191]", "")
  if length <= most then return plain end
  local cut, count = {}, 0
  for letter in plain:gmatch("[%z\1-\127\192-\255][\128-\191]*") do
    if count >= most - 2 then break end
    cut[#cut + 1], count = letter, count + 1
  end
  return table.concat(cut) .. ".."
end

local BOX = '<g><title>%s: %d samples, %.1f %%</title><rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>'
  .. '<text x="%.1f" y="%d">%s</text></g>'

local function draw(out, node, x, level, scale, all, height)
  local width = node.count * scale
  if width < LEAST then return end
  local y = height - FOOT - (level + 1) * ROW
  out[#out + 1] = BOX:format(safe(node.text), node.count, 100 * node.count / all, x, y, width, ROW - 1,
    COLOUR[node.kind], x + 3, y + 13, escape(fitting(node.text, width)))
  for _, child in ipairs(ordered(node.children)) do
    draw(out, child, x, level + 1, scale, all, height)
    x = x + child.count * scale
  end
end

local HEADER = [[
<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d">
<style>
text { font: 11px monospace; fill: #222; pointer-events: none }
.title { font: bold 15px sans-serif } .legend { font: 12px sans-serif; fill: #555 }
g:hover rect { stroke: #222; stroke-width: 1 }
</style>
<rect width="100%%" height="100%%" fill="#fff"/>
<text class="title" x="10" y="20">%s</text>
<text class="legend" x="10" y="36">%s</text>
]]

local LEGEND = "orange: your functions; blue: libraries and LuaJIT; grey: tidemill's own. Width: share of the samples."

--- The text of the SVG for an array of stacks { count, frames = array of { text, place, own } }.
function svg.draw(stacks, title)
  local root, deepest = tree_of(stacks)
  local height = HEAD + (deepest + 1) * ROW + FOOT
  local out = { HEADER:format(WIDTH, height, WIDTH, height, safe(title), LEGEND) }
  if root.count > 0 then draw(out, root, LEFT, 0, (WIDTH - 2 * LEFT) / root.count, root.count, height) end
  out[#out + 1] = "</svg>\n"
  return table.concat(out, "\n")
end

return svg
