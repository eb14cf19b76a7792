-- SPDX-License-Identifier: MIT
-- tuning/curve.lua: what the rates at several sizes of a batch say about all sizes. The time of a message is taken for
--
--   constant + of_batch / size + of_size * size
--
-- of_batch is what each batch costs; of_size is what larger batches cost where they do not lie in a processor's cache.
-- Every measurement counts, however often its size was measured: where each of them is noisy, the best of a few sizes
-- is often the luckiest one, and the curve through all of them is nearer to the truth.
local curve = {}

-- Solves three linear equations, each { a, b, c, right side }, by Gaussian elimination. Returns x, y, z; or nil when
-- they do not say.
local function solve(rows)
  for i = 1, 3 do
    local pivot = i
    for j = i + 1, 3 do
      if math.abs(rows[j][i]) > math.abs(rows[pivot][i]) then pivot = j end
    end
    rows[i], rows[pivot] = rows[pivot], rows[i]
    if math.abs(rows[i][i]) < 1e-12 then return nil end
    for j = 1, 3 do
      local factor = j ~= i and rows[j][i] / rows[i][i] or 0
      for k = i, 4 do rows[j][k] = rows[j][k] - factor * rows[i][k] end
    end
  end
  return rows[1][4] / rows[1][1], rows[2][4] / rows[2][2], rows[3][4] / rows[3][3]
end

--- Fits the curve to points { value = size, rate } of three sizes or more, so that the squares of the relative errors
--- are least. Returns { constant, of_batch, of_size } in seconds, or nil when there are not enough sizes.
function curve.fit(points)
  local sizes, scale = {}, 0
  for _, point in ipairs(points) do
    if point.rate > 0 then sizes[point.value] = true end
    scale = math.max(scale, point.value) -- so that the three columns are of one magnitude
  end
  local count, rows = 0, { { 0, 0, 0, 0 }, { 0, 0, 0, 0 }, { 0, 0, 0, 0 } }
  for _ in pairs(sizes) do count = count + 1 end
  if count < 3 then return nil end
  for _, point in ipairs(points) do
    local columns = { 1, 1 / point.value, point.value / scale }
    for i = 1, 3 do
      for j = 1, 3 do rows[i][j] = rows[i][j] + columns[i] * columns[j] * point.rate ^ 2 end
      rows[i][4] = rows[i][4] + columns[i] * point.rate
    end
  end
  local constant, of_batch, of_size = solve(rows)
  return constant and { constant = constant, of_batch = of_batch, of_size = of_size / scale }
end

--- Returns the size at which the curve is fastest, between the least and the largest one of the points; nil when they
--- do not say.
function curve.best(points)
  local fitted, least, most = curve.fit(points), math.huge, 0
  if not fitted then return nil end
  for _, point in ipairs(points) do least, most = math.min(least, point.value), math.max(most, point.value) end
  if fitted.of_batch <= 0 then return fitted.of_size > 0 and least or nil end
  if fitted.of_size <= 0 then return most end
  return math.max(least, math.min(most, math.sqrt(fitted.of_batch / fitted.of_size)))
end

--- Returns the size beyond which larger ones gain less than 1 %, by the two sizes of the points (by rising value) that
--- are furthest apart and a curve without of_size. Nil when the two do not say.
function curve.knee(points)
  local first, last = points[1], points[#points]
  if not last or last.value == first.value then return nil end
  local of_batch = (1 / first.rate - 1 / last.rate) / (1 / first.value - 1 / last.value)
  local constant = 1 / last.rate - of_batch / last.value
  if of_batch <= 0 or constant <= 0 then return nil end
  return of_batch / constant / 0.01
end

return curve
