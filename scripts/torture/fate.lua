-- SPDX-License-Identifier: MIT
-- What becomes of a message is a function of its id, known to the transform and to the judge alike: so nothing has to
-- be remembered between them. An input is { key, "ID:text", header seq }; an output "ID/PIECE:text".
local bit = require "bit"

local fate = {}

--- In this order; the rest gives one output.
fate.KINDS = {
  { 97, "crash" }, { 89, "hang" }, { 83, "error" }, { 79, "filter" }, { 73, "two" }, { 71, "second" },
}
local KEYS = 211

-- The topic of each piece of the result.
local PIECES = { one = { "output" }, two = { "output", "output" }, second = { "second" } }

--- Reasons that the dead letter of a fate may have; other fates have none.
fate.REASONS = {
  crash = { crash = true }, hang = { timeout = true }, error = { error = true, bad_return = true, rejected = true },
}

function fate.of(id)
  for _, kind in ipairs(fate.KINDS) do
    if id % kind[1] == 0 then return kind[2] end
  end
  return "one"
end

-- A different text for each id and piece, of 8 to some hundred bytes, now and then of many thousand.
local function text(id, piece)
  local token = bit.tohex(bit.bxor(bit.tobit(id * 40503), bit.rol(bit.tobit(id), 11 + piece)))
  return token:rep(id % 499 == 0 and 2000 or 1 + id % 37)
end

function fate.key(id)
  return "k" .. id * 31 % KEYS
end

--- The partition that an id is fed to: that of its key.
function fate.partition(id, partitions)
  return id * 31 % KEYS % partitions
end

function fate.input(id)
  return id .. ":" .. text(id, 0)
end

--- How many outputs an id has.
function fate.pieces(id)
  local pieces = PIECES[fate.of(id)]
  return pieces and #pieces or 0
end

--- "output" or "second"; nil when there is no such piece.
function fate.topic(id, piece)
  return (PIECES[fate.of(id)] or {})[piece]
end

function fate.output(id, piece)
  return ("%d/%d:%s"):format(id, piece, text(id, piece))
end

return fate
