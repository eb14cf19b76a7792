-- SPDX-License-Identifier: MIT
--- The median of an array of numbers, which stays as it is; of two in the middle their mean.
return function(list)
  local sorted = { unpack(list) }
  table.sort(sorted)
  local middle = #sorted / 2
  return (sorted[math.ceil(middle)] + sorted[math.floor(middle) + 1]) / 2
end
