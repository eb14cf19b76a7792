-- SPDX-License-Identifier: MIT
-- cli/top/layout.lua: lays lines out in columns and rows. A line is an array of spans { text, style }, so that width
-- and colour have nothing to do with each other: style is nil, "heading", "dim", "good" or "warning". A section is an
-- array of lines; its last lines may be `rows`, of which as many are shown as there is room for, with a line that tells
-- how many are not.
local text = require("tidemill.cli.top.text")

local layout = {}

local GAP = 2 -- columns between two cells

--- A line of one span.
function layout.line(content, style)
  return { { content, style } }
end

--- The width of a line in columns.
function layout.width(line)
  local sum = 0
  for _, span in ipairs(line) do sum = sum + text.width(span[1]) end
  return sum
end

-- Cuts a line to `width` columns, and fills it with spaces when `fill` is set.
local function fitted(line, width, fill)
  local spans, left = {}, width
  for _, span in ipairs(line) do
    local content = text.cut(span[1], left)
    if left > 0 then spans[#spans + 1] = { content, span[2] } end
    left = left - text.width(content)
  end
  if fill and left > 0 then spans[#spans + 1] = { (" "):rep(left) } end
  return spans
end

--- "######....": a share from 0 to 1 as a bar of `width` columns. A share that is not 0 shows at least a little.
function layout.bar(share, width, ascii)
  local full = math.floor(math.min(math.max(share, 0), 1) * width + 0.5)
  if share > 0 and full == 0 then full = 1 end
  return (ascii and "#" or "█"):rep(full) .. (ascii and "." or "░"):rep(width - full)
end

-- The widest cell of each column.
local function widest(columns, rows)
  local widths = {}
  for i, column in ipairs(columns) do
    widths[i] = text.width(column.title)
    for _, row in ipairs(rows) do widths[i] = math.max(widths[i], text.width(row[i] or "")) end
  end
  return widths
end

local function sum_of(widths)
  local sum, count = 0, 0
  for _, width in pairs(widths) do sum, count = sum + width, count + 1 end
  return sum + GAP * math.max(count - 1, 0)
end

-- Returns the widths by index of the columns that there is room for. The one with the highest `rank` is left out first;
-- those of rank 1 never. Columns that are `elastic` are cut, down to that width.
local function choose(columns, rows, width)
  local widths, least = widest(columns, rows), {}
  for i, column in ipairs(columns) do least[i] = math.min(widths[i], column.elastic or widths[i]) end
  while sum_of(least) > width do
    local worst
    for i in pairs(least) do
      if columns[i].rank > 1 and (not worst or columns[i].rank > columns[worst].rank) then worst = i end
    end
    if not worst then break end
    widths[worst], least[worst] = nil, nil
  end
  local over = sum_of(widths) - width
  for i in ipairs(columns) do
    if widths[i] and over > 0 then
      local cut = math.min(over, widths[i] - least[i])
      widths[i], over = widths[i] - cut, over - cut
    end
  end
  return widths
end

--- A table as { head = line, rows = lines }. columns: { title, right = true (numbers), rank, elastic = width }; rows:
--- arrays of clean texts.
function layout.table(columns, rows, width)
  local widths = choose(columns, rows, width)
  local function join(cells)
    local parts = {}
    for i, column in ipairs(columns) do
      if widths[i] then parts[#parts + 1] = text.pad(cells[i] or "", widths[i], column.right) end
    end
    return (table.concat(parts, (" "):rep(GAP)):gsub(" +$", ""))
  end
  local titles, lines = {}, {}
  for i, column in ipairs(columns) do titles[i] = column.title end
  for i, row in ipairs(rows) do lines[i] = layout.line(join(row), row.style) end
  return { head = layout.line(join(titles), "dim"), rows = lines }
end

--- "label  a 1  b 2": items on as many lines as they need, below each other behind the label.
function layout.items(label, label_width, items, width)
  local lines, line = {}, text.pad(label, label_width)
  local used = false
  for _, item in ipairs(items) do
    if used and text.width(line) + GAP + text.width(item) > width then
      lines[#lines + 1], line, used = layout.line(line), (" "):rep(label_width), false
    end
    line, used = line .. (used and (" "):rep(GAP) or label_width > 0 and " " or "") .. item, true
  end
  lines[#lines + 1] = layout.line(line)
  return lines
end

-- How many lines a section takes when `shown` of its rows are shown.
local function lines_of(section)
  local rows = #(section.rows or {})
  return #section + section.shown + (section.shown < rows and 1 or 0)
end

local function more_line(section)
  local left = #section.rows - section.shown
  local what = section.shown > 0 and ("  %d more %s, for which there is no room"):format(left, section.what)
    or ("  %d %s, for which there is no room"):format(left, section.what)
  return layout.line(what, "dim")
end

-- Takes rows away, from the section that shows most, until the lines fit or none can be taken.
local function take_rows(sections, height)
  local sum = #sections - 1 -- a line between two
  for _, section in ipairs(sections) do
    section.shown = #(section.rows or {})
    sum = sum + lines_of(section)
  end
  while sum > height do
    local longest
    for _, section in ipairs(sections) do
      if section.shown > 0 and (not longest or section.shown > longest.shown) then longest = section end
    end
    if not longest then return end
    local before = lines_of(longest)
    longest.shown = longest.shown - 1
    sum = sum - before + lines_of(longest)
  end
end

--- Returns the lines of sections, one below the other, in at most `height` lines of at most `width` columns. What there
--- is no room for is counted.
function layout.stack(sections, width, height)
  take_rows(sections, height)
  local lines = {}
  for i, section in ipairs(sections) do
    if i > 1 then lines[#lines + 1] = layout.line("") end
    for _, line in ipairs(section) do lines[#lines + 1] = line end
    for row = 1, section.shown do lines[#lines + 1] = section.rows[row] end
    if section.shown < #(section.rows or {}) then lines[#lines + 1] = more_line(section) end
  end
  if #lines > height then
    local left = #lines - height + 1
    for i = #lines, math.max(height, 1), -1 do lines[i] = nil end
    if height > 0 then
      lines[height] = layout.line(("%d lines more: the terminal is too low"):format(left), "dim")
    end
  end
  for i, line in ipairs(lines) do lines[i] = fitted(line, width) end
  return lines
end

--- Two columns of lines beside each other.
function layout.beside(left, right, left_width)
  local lines = {}
  for i = 1, math.max(#left, #right) do
    local line = right[i] and fitted(left[i] or {}, left_width, true) or left[i]
    for _, span in ipairs(right[i] or {}) do line[#line + 1] = span end
    lines[i] = line
  end
  return lines
end

return layout
