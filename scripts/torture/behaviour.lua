-- SPDX-License-Identifier: MIT
-- How the transform behaves on a message is a function of its id, and so are all of its bytes. The transform and the
-- checker both ask it here, so nothing has to be remembered between them. An input is { key, "ID:text", headers seq and
-- time }; the value of an output is "ID/PIECE:text".
local bit = require "bit"

local behaviour = {}

--- The first whose number divides the id holds; any other id gives one output.
behaviour.KINDS = {
  { 97, "crash" }, { 89, "hang" }, { 83, "error" }, { 79, "filter" }, { 73, "two" }, { 71, "second" },
}
local KEYS = 211
local SILENT = 2000 -- ids

-- The topic of each piece of the result.
local PIECES = { one = { "output" }, two = { "output", "output" }, second = { "second" } }

--- The reasons that a dead letter may have, by behaviour; the others make none.
behaviour.REASONS = {
  crash = { crash = true }, hang = { timeout = true }, error = { error = true, bad_return = true, rejected = true },
}

function behaviour.of(id)
  for _, kind in ipairs(behaviour.KINDS) do
    if id % kind[1] == 0 then return kind[2] end
  end
  return "one"
end

-- The text differs for each id and piece. It has 8 to some hundred bytes, and now and then many thousand.
local function text(id, piece)
  local token = bit.tohex(bit.bxor(bit.tobit(id * 40503), bit.rol(bit.tobit(id), 11 + piece)))
  return token:rep(id % 499 == 0 and 2000 or 1 + id % 37)
end

--- A third of the keys fall silent after some ids, one after another, and new ones take their places.
function behaviour.key(id)
  local number = id * 31 % KEYS
  if number % 3 ~= 0 then return "k" .. number end
  return ("k%d.%d"):format(number, (id + number * SILENT / KEYS) / SILENT)
end

--- The partition to which an id is written: that of its key.
function behaviour.partition(id, partitions)
  return id * 31 % KEYS % partitions
end

function behaviour.input(id)
  return id .. ":" .. text(id, 0)
end

behaviour.WINDOW_MS, behaviour.GRACE_MS = 60000, 10000
local BEGIN_MS, EACH_MS, SCATTER_MS, LATE_MS = 1769860800000, 47, 20000, 120000

--- The grace of windows. Behind lanes messages come in any order, so it is longer than anything is late.
function behaviour.grace_ms(lanes)
  return lanes and 200000 or behaviour.GRACE_MS
end

--- The event time of an id, in ms. They rise, so that a key has some in each window; what is scattered by more than the
--- grace may be late, and each 61st is old.
function behaviour.time(id)
  local scatter = bit.tobit(id * 40503) % SCATTER_MS
  return BEGIN_MS + id * EACH_MS + scatter - (id % 61 == 0 and LATE_MS or 0)
end

--- The number of outputs of an id.
function behaviour.pieces(id)
  local pieces = PIECES[behaviour.of(id)]
  return pieces and #pieces or 0
end

--- What the state "last" of its key is after an id that counts: { id = it }, or nil, so that values are deleted, too.
function behaviour.last(id)
  return id % 7 ~= 0 and { id = id } or nil
end

--- "output" or "second"; nil when there is no such piece.
function behaviour.topic(id, piece)
  return (PIECES[behaviour.of(id)] or {})[piece]
end

function behaviour.output(id, piece)
  return ("%d/%d:%s"):format(id, piece, text(id, piece))
end

return behaviour
