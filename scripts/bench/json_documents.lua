-- SPDX-License-Identifier: MIT
-- Documents of the kinds that messages mostly are: an array of { name = what they are, texts = N texts }. The same seed
-- gives the same bytes.
local random = math.random

local function pick(list)
  return list[random(#list)]
end

local function times(count, make, separator)
  local parts = {}
  for i = 1, count do parts[i] = make(i) end
  return table.concat(parts, separator or ",")
end

local WORDS = { "order", "accepted", "by", "the", "gateway", "after", "retry", "with", "cached", "token" }
local ABROAD = { "größer", "naïve", "привет", "мир", "東京", "データ", "안녕", "€", "señor", "🙂" }
local ESCAPED = { "gr\\u00f6\\u00dfer", "line\\nbreak", "\\\"quoted\\\"", "\\ud83d\\ude42", "tab\\t", "\\u6771\\u4eac" }

local function words(list, count)
  return times(count, function() return pick(list) end, " ")
end

local kinds = {}

local function kind(name, make)
  kinds[#kinds + 1] = { name = name, make = make }
end

kind("small flat event", function(i)
  return ('{"user":"u%05d","action":"%s","page":"/%s/%d","count":%d,"ok":%s}'):format(random(99999), pick(WORDS),
    pick(WORDS), random(99), i % 7, tostring(i % 3 == 0))
end)

kind("some fields missing", function(i)
  local optional = times(4, function(n)
    return random(2) == 1 and (',"field%d":"%s"'):format(n, pick(WORDS)) or ""
  end, "")
  return ('{"id":%d,"level":"info"%s,"value":%d}'):format(i, optional, random(1000))
end)

kind("nested order", function(i)
  return ('{"id":"o-%06d","customer":{"id":%d,"name":"%s","address":{"street":"%s","city":"%s","zip":"%05d"}},'
    .. '"items":[%s],"total":%d.%02d,"paid":%s}'):format(i, random(9999), words(WORDS, 2), words(WORDS, 3), pick(WORDS),
    random(99999), times(3, function()
      return ('{"sku":"s-%d","count":%d,"price":%d.%02d}'):format(random(999), random(9), random(99), random(99))
    end), random(999), random(99), tostring(i % 2 == 0))
end)

kind("arrays", function(i)
  return ('{"id":%d,"tags":[%s],"line":[%s],"empty":[]}'):format(i, times(8, function()
    return '"' .. pick(WORDS) .. '"'
  end), times(12, function() return ("[%d,%d]"):format(random(1000), random(1000)) end))
end)

kind("numbers", function(i)
  return ('{"host":"web-%d","at":%d,"load":%d.%d,"samples":[%s]}'):format(i % 50, 1700000000 + i, random(9), random(99),
    times(40, function() return ("%.3f"):format(random() * 1000) end))
end)

kind("many digits", function(i)
  return ('{"id":%d,"at":%d.%06d,"samples":[%s]}'):format(i, 1700000000 + i, random(999999),
    times(20, function() return ("%.17g"):format(random()) end))
end)

kind("not ASCII", function(i)
  return ('{"id":%d,"name":"%s","text":"%s","city":"%s"}'):format(i, pick(ABROAD), words(ABROAD, 12), pick(ABROAD))
end)

kind("escapes", function(i)
  return ('{"id":%d,"name":"%s","text":"%s","city":"%s"}'):format(i, pick(ESCAPED), words(ESCAPED, 10), pick(ESCAPED))
end)

kind("names that are data", function()
  return ('{"counts":{%s}}'):format(times(10, function()
    return ('"k%08d":%d'):format(random(99999999), random(999))
  end))
end)

return function(count, seed)
  math.randomseed(seed or 1)
  local documents = {}
  for i, one in ipairs(kinds) do
    local texts = {}
    for n = 1, count do texts[n] = one.make(n) end
    documents[i] = { name = one.name, texts = texts }
  end
  return documents
end
