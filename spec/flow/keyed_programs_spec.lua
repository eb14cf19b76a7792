-- SPDX-License-Identifier: MIT
-- Random programs of tide.keyed against a plain model of it: what each function reads and writes of its states, in a
-- chain with steps before and behind it, whatever becomes of its message and its worker.
local flow = require "spec.support.flow"
local json = require "tidemill.run.json"
local seed = require "spec.support.seed"
local support = require "spec.support.shared"
local tide = require "tidemill"

local kills = support.integers(1) -- how many workers have killed themselves

local NAMES = { "a", "b", "c" }
-- Odd ones: empty, bytes that are no text, a NUL, what looks like a number, the longest.
local KEYS = { "", "\255\0\1", "1", "1.0", "true", "\0watermar", "k.k", ("x"):rep(480), "ä", "nil" }
local VALUES = { "0", "-0.5", "9007199254740993", "-9223372036854775808", "18446744073709551615", '""',
  '"\\u0000x"', "true", "false", "null", "[]", "{}", '[1,[2,{"x":[]}]]', '{"n":{"m":null},"l":[null,1]}',
  '"' .. ("v"):rep(3000) .. '"' }

-- The text of a value of a state as it is read; "nil" when there is none.
local function shown(value)
  if value == nil then return "nil" end
  return type(value) == "string" and "s:" .. #value .. ":" .. value:sub(1, 20) or tide.json.encode(value)
end

local function value_of(text)
  return json.module.decode(text)
end

-- Does what the message says to the states, which are objects with `value`. Returns how it ends, and what was seen.
local function perform(ops, states, expire)
  local seen = {}
  for i, name in ipairs(NAMES) do seen[i] = shown(states[name].value) end
  for op in ops:gmatch "[^;]+" do
    local what, name, text = op:match "^(%l+) ?(%l?) ?(.*)$"
    local state = name ~= "" and states[name]
    if what == "set" then
      state.value = value_of(text)
    elseif what == "delete" then
      state.value = nil
    elseif what == "mutate" then
      local value = state.value
      if type(value) == "table" then
        if value[1] ~= nil then value[#value + 1] = text else value["m" .. text] = { text } end
      end
    elseif what == "add" then
      local value = state.value
      if type(value) == "number" then state.value = value + 1 end
    elseif what == "copy" then
      state.value = states[text].value
    elseif what == "expire" then
      expire(state)
    else
      return what, table.concat(seen, "|")
    end
  end
  return "one", table.concat(seen, "|")
end

-- The function of the step.
local function process(m, states)
  local ops = m:header "ops"
  local ending, seen = perform(ops, states, function(state) state:expire "1h" end)
  local text = ("%s %s"):format(m:header "n", seen)
  if ending == "one" then return text end
  if ending == "same" then return m end
  if ending == "many" then return tide.many { text .. " 1", text .. " 2" } end
  if ending == "table" then return { value = text, key = "other" } end
  if ending == "reject" then return tide.reject "so" end
  if ending == "error" then error "so" end
  if ending == "bad" then return 5 end
  if ending == "kill" and kills[0] % 3 < 2 then
    kills[0] = kills[0] + 1
    support.kill()
  end
  kills[0] = kills[0] + 1
  if ending == "kill" then return text end
  return nil
end

-- The same without workers. `results` are those of each key, in order; `ids` the key of each message.
local function new_model()
  local stored, model = {}, { results = {}, rejected = 0, ids = {} }

  -- The texts of the states; nil when one of them has none: an array that was given a name.
  local function texts_of(states)
    local texts = {}
    for _, name in ipairs(NAMES) do
      local value = states[name].value
      if value ~= nil then
        local ok, text = pcall(tide.json.encode, value)
        if not ok then return nil end
        texts[name] = text
      end
    end
    return texts
  end

  function model.run(partition, key, number, ops)
    local id = partition .. ":" .. key
    local before, states = stored[id] or {}, {}
    for _, name in ipairs(NAMES) do states[name] = { value = before[name] and value_of(before[name]) } end
    local ending, seen = perform(ops, states, function() end)
    local texts = texts_of(states)
    model.ids[number] = id
    if not texts or ending == "reject" or ending == "error" or ending == "bad" then
      model.rejected = model.rejected + 1
      return
    end
    stored[id] = texts
    local text, results = ("%d %s"):format(number, seen), model.results[id] or {}
    model.results[id] = results
    if ending == "many" then
      results[#results + 1], results[#results + 2] = text .. " 1", text .. " 2"
    elseif ending ~= "drop" then
      results[#results + 1] = ending == "same" and number .. " same" or text
    end
  end
  return model
end

local ENDS = { "one", "one", "one", "same", "many", "table", "drop", "reject", "error", "bad", "kill" }

local function random_ops()
  local ops = {}
  for i = 1, math.random(0, 5) do
    local name, kind = NAMES[math.random(#NAMES)], math.random(12)
    ops[i] = kind <= 4 and ("set %s %s"):format(name, VALUES[math.random(#VALUES)])
      or kind <= 7 and ("mutate %s %d"):format(name, math.random(3))
      or kind == 8 and "delete " .. name
      or kind == 9 and ("copy %s %s"):format(name, NAMES[math.random(#NAMES)])
      or kind == 10 and "expire " .. name
      or "add " .. name
  end
  local rare = math.random(100) == 1 and "kill" or ENDS[math.random(#ENDS - 1)]
  ops[#ops + 1] = rare
  return table.concat(ops, ";")
end

-- The message without its headers `ops` and `n`, by what `by` says.
local BY = {
  key = function(key) return { key = key, value = "{}" } end,
  ["header:k"] = function(key) return { value = "{}", headers = { { "k", "no" }, { "k", key } } } end,
  ["json:a.2.k"] = function(key) return { value = ('{"a":[0,{"k":%s}]}'):format(tide.json.encode(key)) } end,
}

describe("a program with state", function()
  local fixture = flow.fixture()

  -- A step between others, with functions before and behind its own.
  local function new_test(by, size)
    local function shown_as_it_came(m)
      if m.value:find "^{" then m.value = m:header "n" .. " same" end
      return m
    end
    return fixture.steps(
      tide.map { function(m) return m end, processes = 2 },
      tide.keyed { function(m) return m end, process, shown_as_it_came, by = by, state = NAMES, ttl = "1h",
        processes = 3, max_batch_size = size, crash_retries = 100 },
      tide.filter { function(m) return m.value ~= "never" end })
  end

  -- Pushes one message more, and has the model do what it says.
  local function push_one(test, by, model, number)
    local key, partition, ops = KEYS[math.random(#KEYS)], math.random(0, 1), random_ops()
    if by:find "^json" and key:find "\255" then key = "j" end
    local message = BY[by](key)
    local headers = message.headers or {}
    headers[#headers + 1], headers[#headers + 2] = { "ops", ops }, { "n", tostring(number) }
    message.headers, message.partition = headers, partition
    model.run(partition, key, number, ops)
    test:push(message)
  end

  -- What came, of each key in order: the number of the message is what its text begins with.
  local function by_key(test, model)
    local lists = {}
    for _, text in ipairs(test:values()) do
      local id = model.ids[tonumber(text:match "^%d+")]
      lists[id] = lists[id] or {}
      table.insert(lists[id], text)
    end
    return lists
  end

  it("does what a model of it does, in any chain, whatever becomes of messages and workers", function()
    seed.draw()
    local sizes = { 1, 3, 40, 1000 }
    for by in pairs(BY) do
      local size = sizes[math.random(#sizes)]
      local model, test, number = new_model(), new_test(by, size), 0
      for _ = 1, 2 do
        for _ = 1, math.random(200) do
          number = number + 1
          push_one(test, by, model, number)
        end
        test:feed()
      end
      local got = by_key(test, model)
      for id, list in pairs(model.results) do
        for i, text in ipairs(list) do
          assert.equal(text, (got[id] or {})[i], ("%s, batches of %d"):format(by, size))
        end
        assert.equal(#list, #(got[id] or {}))
      end
      assert.equal(model.rejected, #test:rejects())
      test:close()
    end
  end)
end)
