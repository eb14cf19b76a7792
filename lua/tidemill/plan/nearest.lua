-- SPDX-License-Identifier: MIT
-- plan/nearest.lua: finds the known name that was probably meant.
local nearest = {}

-- Returns how many edits (insert, delete, replace, swap two neighbours) lead from a to b.
local function distance(a, b)
  local rows = { [0] = {} }
  for j = 0, #b do rows[0][j] = j end
  for i = 1, #a do
    local row = { [0] = i }
    rows[i] = row
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      row[j] = math.min(rows[i - 1][j] + 1, row[j - 1] + 1, rows[i - 1][j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        row[j] = math.min(row[j], rows[i - 2][j - 2] + 1)
      end
    end
  end
  return rows[#a][#b]
end

--- Returns the one of `names` that is nearest to `name`: at most a third of its characters differ, or it begins with
--- `name`. Returns nil when none is near.
function nearest.name(name, names)
  local best, best_distance
  local lower = name:lower()
  for _, known in ipairs(names) do
    local edits = math.abs(#known - #name) -- at least; and no more when it begins with the name
    local limit = math.max(1, math.floor(#known / 3))
    local begins = #name >= 3 and known:sub(1, #name) == lower
    if not begins and edits <= limit then edits = distance(lower, known:lower()) end
    if (edits <= limit or begins) and (not best or edits < best_distance) then
      best, best_distance = known, edits
    end
  end
  return best
end

--- Returns '; did you mean "x"?', or "" when nothing is near.
function nearest.hint(name, names)
  local known = nearest.name(name, names)
  return known and string.format('; did you mean "%s"?', known) or ""
end

return nearest
