-- SPDX-License-Identifier: MIT
-- lib/decimal.lua: decimals of any length, as Avro's logical type "decimal" has them: an integer in two's complement,
-- big-endian, and a scale that stands in the schema. As text they are exact; a Lua number would round them.
local decimal = {}

local LIMB, WIDTH = 1e7, 7

-- Multiplies a natural number (limbs of 7 digits, the lowest first) and adds to it.
local function multiply(limbs, by, plus)
  for i = 1, #limbs do
    local value = limbs[i] * by + plus
    plus = math.floor(value / LIMB)
    limbs[i] = value - plus * LIMB
  end
  if plus > 0 then limbs[#limbs + 1] = plus end
end

-- Divides it, and returns the rest.
local function divide(limbs, by)
  local rest = 0
  for i = #limbs, 1, -1 do
    local value = rest * LIMB + limbs[i]
    limbs[i] = math.floor(value / by)
    rest = value - limbs[i] * by
  end
  while limbs[#limbs] == 0 do limbs[#limbs] = nil end
  return rest
end

local function digits_of(limbs)
  if #limbs == 0 then return "0" end
  local parts = { ("%d"):format(limbs[#limbs]) }
  for i = #limbs - 1, 1, -1 do parts[#parts + 1] = ("%07d"):format(limbs[i]) end
  return table.concat(parts)
end

--- The text of bytes: "-12.340" for a scale of 3.
function decimal.text(bytes, scale)
  local limbs, negative = {}, (bytes:byte(1) or 0) >= 0x80
  for i = 1, #bytes do
    local byte = bytes:byte(i)
    multiply(limbs, 256, negative and 255 - byte or byte)
  end
  if negative then multiply(limbs, 1, 1) end -- -x is the complement of x, plus 1
  local digits = digits_of(limbs)
  if scale > 0 then
    digits = ("0"):rep(scale + 1 - #digits) .. digits
    digits = digits:sub(1, -scale - 1) .. "." .. digits:sub(-scale)
  end
  return (negative and "-" or "") .. digits
end

--- The bytes of a text, as few as there can be or `size`; nil and the reason.
function decimal.bytes(text, scale, size)
  local sign, whole, fraction = text:match("^([+-]?)(%d+)%.?(%d*)$")
  if not whole or text:find("%.$") then return nil, "no decimal number" end
  local zeros = fraction:sub(scale + 1)
  if zeros:find("[^0]") then return nil, ("more than %d digits behind the point"):format(scale) end
  local digits = whole .. fraction:sub(1, scale) .. ("0"):rep(scale - #fraction)
  local limbs = {}
  for last = #digits, 1, -WIDTH do
    limbs[#limbs + 1] = tonumber(digits:sub(math.max(last - WIDTH + 1, 1), last))
  end
  while limbs[#limbs] == 0 do limbs[#limbs] = nil end
  local negative = sign == "-" and #limbs > 0
  if negative then -- the complement of x - 1 is -x
    local i = 1
    while limbs[i] == 0 do limbs[i], i = LIMB - 1, i + 1 end
    limbs[i] = limbs[i] - 1
    while limbs[#limbs] == 0 do limbs[#limbs] = nil end
  end
  local list = {}
  while #limbs > 0 do list[#list + 1] = divide(limbs, 256) end
  if #list == 0 or list[#list] >= 0x80 then list[#list + 1] = 0 end
  if size and #list > size then return nil, ("more than %d bytes"):format(size) end
  for i = #list + 1, size or 0 do list[i] = 0 end
  for i = 1, #list do list[i] = string.char(negative and 255 - list[i] or list[i]) end
  return table.concat(list):reverse()
end

return decimal
