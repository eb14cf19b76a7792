-- SPDX-License-Identifier: MIT
-- What the three formats of lookup tables are read as, and what is refused, with its place.
local ffi = require "ffi"
local lookup = require "spec.support.lookup"
local msgpack = require "tidemill.lib.msgpack"
local json = require "tidemill.run.json"

describe("a lookup table", function()
  before_each(lookup.begin)
  after_each(lookup.finish)

  local function refused(expected, ending, bytes, options)
    local users, problem = lookup.of(ending, bytes, options)
    assert.is_nil(users)
    assert.equal(expected, (problem:gsub("^t%d+%.", "t.")))
  end

  it("of CSV gives a row by its first column, all fields as strings", function()
    local users = lookup.of("csv", "id,name,city\nu1,Ada,London\n2,Grace,\n")
    assert.same({ id = "u1", name = "Ada", city = "London" }, users.u1)
    assert.same({ id = "2", name = "Grace", city = "" }, users["2"])
    assert.is_nil(users.u3)
    assert.equal(2, #users)
  end)

  it("of CSV is read by RFC 4180: quotes, line breaks in quotes, CRLF, a last line without an end", function()
    local users = lookup.of("csv", '\239\187\191id,"the ""name"""\r\n"u1","a, ""b""\r\nc"\r\n\r\n"",""\r\nu3,x')
    assert.same({ id = "u1", ['the "name"'] = 'a, "b"\r\nc' }, users.u1)
    assert.same({ id = "", ['the "name"'] = "" }, users[""])
    assert.same({ id = "u3", ['the "name"'] = "x" }, users.u3)
    assert.equal(3, #users)
  end)

  it("of CSV keeps bytes that are no UTF-8, and blanks", function()
    assert.same({ id = " a ", x = "\255" }, lookup.of("csv", "id,x\n a ,\255\n")[" a "])
  end)

  it("of CSV has another separator by its ending or by an option", function()
    assert.same({ id = "1", x = "a,b" }, lookup.of("tsv", "id\tx\n1\ta,b\n")["1"])
    assert.same({ id = "1", x = "a,b" }, lookup.of("txt", "id;x\n1;a,b\n", { format = "csv", separator = ";" })["1"])
  end)

  it("of CSV has fields of each size about those at which their form changes", function()
    for _, size in ipairs { 0, 1, 249, 250, 251, 255, 256, 65536, 3000000 } do
      local field = ("x"):rep(size)
      local users = lookup.of("csv", "id,a,b\n" .. field .. "," .. field .. ",last\n")
      assert.is_true(users[field].a == field and users[field].b == "last", size .. " bytes")
    end
  end)

  it("of CSV has as many columns as there are, whatever their names are", function()
    for _, count in ipairs { 1, 59, 60, 61, 250, 2048 } do
      local names, values, expected = {}, {}, {}
      for i = 1, count do
        names[i], values[i] = "end\\" .. i .. "'\001\n", "v" .. i
        expected[names[i]] = values[i]
      end
      local bytes = '"' .. table.concat(names, '","') .. '"\n' .. table.concat(values, ",") .. "\n"
      assert.same(expected, lookup.of("csv", bytes).v1)
    end
  end)

  it("of CSV that is none is refused with its line", function()
    refused("t.csv:3: 1 field, but 2 columns", "csv", "id,x\n1,2\n3\n")
    refused("t.csv:4: 3 fields, but 2 columns", "csv", 'id,x\n1,"\n"\n3,4,5\n')
    refused('t.csv:3: the key "1" is that of an earlier row; a key may be there once', "csv", "id,x\n1,2\n1,3\n")
    refused("t.csv:2: a quote within a field that does not begin with one; a field with quotes is put in quotes as a "
      .. "whole, and those in it are doubled", "csv", 'id\na"b\n')
    refused("t.csv:2: bytes behind the closing quote of a field", "csv", 'id\n"a"b\n')
    refused("t.csv:2: a quote is opened in this row and never closed", "csv", 'id\n"a\n\n')
    refused("t.csv:2: a NUL byte, which no text has; is the file UTF-16?", "csv", "id\na\0b\n")
    refused("t.csv:2: a NUL byte, which no text has; is the file UTF-16?", "csv", 'id\n"a\0b"\n')
    refused("t.csv:2: a carriage return without a line feed after it", "csv", "id\na\rb\n")
    refused("t.csv:1: column 2 has no name", "csv", "id,\n")
    refused('t.csv:1: two columns have the name "id"', "csv", "id,x,id\n")
    refused('t.csv:1: there is no column "key"', "csv", "id,x\n", { by = "key" })
    refused('t.csv:1: there is no column "key" and no other than one; is the separator another one?', "csv", "id;x\n",
      { by = "key" })
    refused("t.csv:3: there is no line with the names of the columns", "csv", "\n\n")
    refused("t.csv:1: more than 2048 fields", "csv", ("x,"):rep(2048) .. "x\n")
    refused("t.csv: is empty (0 bytes)", "csv", "")
  end)

  it("shows a key in an error without control bytes, and not all of a long one", function()
    local key = "a\27[2J\255" .. ("\195\164"):rep(30)
    refused(('t.csv:3: the key "a?[2J?%s..." is that of an earlier row; a key may be there once'):format(
      ("\195\164"):rep(17)), "csv", ("id\n%s\n%s\n"):format(key, key))
  end)

  it("of CSV may have no rows, and of one column alone", function()
    local users = lookup.of("csv", "id\n")
    assert.equal(0, #users)
    assert.is_nil(users.u1)
    assert.same({ id = "x" }, lookup.of("csv", "id\n\nx\n\n").x)
  end)

  it("of JSON lines gives the values that JSON has", function()
    local users = lookup.of("jsonl", '{"id":"u1","n":1.50,"list":[1,{"a":null}],"none":null,"yes":true,"no":false}\r\n'
      .. '\n  {"no":12345678901234567890,"id":"u\\u00e4"}  \n{"id":"u3","n":-7,"big":9007199254740993}', { by = "id" })
    local row = users.u1
    assert.equal("\"u1\" 1.5 null true false", ("%q %s %s %s %s"):format(row.id, row.n,
      row.none == json.null and "null", tostring(row.yes), tostring(row.no)))
    assert.same({ 1, { a = json.null } }, { row.list[1], row.list[2] })
    assert.equal("array", json.public.type(row.list))
    assert.equal("12345678901234567890ULL", tostring(users["u\195\164"].no))
    assert.equal(-7, users.u3.n)
    assert.equal(9007199254740993LL, users.u3.big)
    assert.equal(3, #users)
  end)

  it("of JSON lines takes rows of more shapes than are kept", function()
    local lines = {}
    for i = 1, 600 do lines[i] = ('{"id":%d,"m%d":{"x":[%d]}}'):format(i, i, i) end
    local users = lookup.of("jsonl", table.concat(lines, "\n"), { by = "id" })
    for i = 1, 600 do
      local row = users[i]
      assert.same({ i, i }, { row.id, row["m" .. i].x[1] })
    end
  end)

  it("of JSON lines that are none is refused with its line", function()
    refused("t.jsonl:2: a line is one object, this one is none", "jsonl", '{"id":1}\n[1]\n', { by = "id" })
    refused('t.jsonl:3: the object has no member "id"', "jsonl", '{"id":1}\n\n{"x":1}\n', { by = "id" })
    refused('t.jsonl:1: the key "id" is null; a key is a string or an integer', "jsonl", '{"id":null}', { by = "id" })
    refused('t.jsonl:1: the key "id" is no integer; a key is a string or an integer', "jsonl", '{"id":1.5}',
      { by = "id" })
    refused('t.jsonl:1: the key "id" is an array; a key is a string or an integer', "jsonl", '{"id":[]}', { by = "id" })
    refused('t.jsonl:2: the key "1" is that of an earlier row; a key may be there once', "jsonl",
      '{"id":1}\n{"id":"1"}', { by = "id" })
    local _, problem = lookup.of("jsonl", '{"id":1}\n{"id":}', { by = "id" })
    assert.matches("^t%d+%.jsonl:2: .*6", problem)
    refused("t.jsonl: is empty (0 bytes)", "jsonl", "", { by = "id" })
  end)

  it("of MessagePack gives the values that tide.msgpack gives", function()
    local rows = {
      { id = "u1", n = 1.5, list = json.public.table "[1,[2]]", none = json.null, yes = true, no = false },
      { id = 2, n = -2 ^ 53, bytes = msgpack.bin "\0x", at = msgpack.ext(5, "y"), big = 18446744073709551615ULL },
      { id = "u3", long = ("z"):rep(70000), inside = { a = { b = { c = "d" } } } },
    }
    local bytes = ""
    for i, row in ipairs(rows) do bytes, rows[i] = bytes .. msgpack.encode(row), msgpack.decode(msgpack.encode(row)) end
    local users = lookup.of("msgpack", bytes, { by = "id" })
    assert.same(rows, { users.u1, users["2"], users.u3 })
    assert.equal("\0x", tostring(users[2].bytes))
    assert.equal("array", json.public.type(users.u1.list))
  end)

  it("a NaN of MessagePack is Lua's own, since LuaJIT tells types apart by the bits of a NaN", function()
    local rows = {}
    for i = 1, 200 do
      rows[i] = "\130\162id" .. string.char(204, i) .. "\161x\203\255" .. string.char(240 + i % 16, i, 0, 0, 0, 1, i)
    end
    local users = lookup.of("msgpack", table.concat(rows), { by = "id" })
    for i = 1, 200 do
      local value = users[i].x
      assert.is_true(type(value) == "number" and value ~= value)
    end
  end)

  it("of MessagePack that is none is refused with its row and byte", function()
    local by = { by = "id" }
    local good = msgpack.encode { id = "a" }
    local at = ("t.msgpack: row 2, at byte %d: "):format(#good)
    refused(at .. "a row is a map, this is none", "msgpack", good .. "\145\1", by)
    refused(at .. "the file ends within a value", "msgpack", good .. good:sub(1, -2), by)
    refused(at .. "the file ends within a value", "msgpack", good .. "\223\255\255\255\255", by)
    refused(at .. 'the map has no member "id"', "msgpack", good .. "\128", by)
    refused(at .. "the name of a member is no string", "msgpack", good .. "\129\1\1", by)
    refused(at .. "a byte that is the head of no value (0xC1)", "msgpack", good .. "\129\161x\193", by)
    refused(at .. "a member is there twice", "msgpack", good .. "\131\162id\1\161x\1\161x\2", by)
    refused(at .. "arrays and maps nest deeper than 100", "msgpack", good .. "\130\162id\1\161x" .. ("\145"):rep(100)
      .. "\1", by)
    refused(at .. "a map within the row has a key that no table can have", "msgpack", good
      .. "\130\162id\1\161x\129\192\1", by)
    refused(at .. 'the key "id" is binary; a key is a string or an integer', "msgpack", good .. "\129\162id\196\1x", by)
  end)

  it("takes strings and integers for a key, and tells 17 from 17.5 and null", function()
    local users = lookup.of("jsonl", '{"id":17,"n":1}\n{"id":"x","n":2}\n{"id":-9007199254740993,"n":3}\n'
      .. '{"id":0,"n":4}', { by = "id" })
    assert.same({ 1, 1, 1, 1 }, { users[17].n, users["17"].n, users[17LL].n, users[17ULL].n })
    assert.same({ 3, 4, 4 }, { users[-9007199254740993LL].n, users[0].n, users[-0].n })
    assert.is_nil(users[17.5])
    assert.is_nil(users[0 / 0])
    assert.is_nil(users[math.huge])
    assert.is_nil(users[nil])
    assert.is_nil(users[json.null])
    assert.has_error(function() return users[{}] end, "a lookup table is read by a string or an integer, got a table")
    assert.has_error(function() return users[true] end)
  end)

  it("has a key of several members, in their order", function()
    local users = lookup.of("csv", "id,country,n\n1:a,de,1\na,1:de,2\n,de,3\n", { by = { "country", "id" } })
    assert.same({ "1", "2", "3" }, { users("de", "1:a").n, users("1:de", "a").n, users("de", "").n })
    assert.is_nil(users("1:a", "de"))
    assert.is_nil(users("de", nil))
    assert.has_error(function() return users.de end,
      "this lookup table has a key of 2 members: write users(a, b) in place of users[a]")
    assert.has_error(function() return users("de") end, "this lookup table is read by 2 values, got 1")
    local three = lookup.of("jsonl", '{"a":1,"b":"x","c":-3,"n":true}', { by = { "a", "b", "c" } })
    assert.is_true(three(1, "x", -3).n and three("1", "x", "-3").n)
    assert.has_error(function() return three(1, "x") end, "this lookup table is read by 3 values, got 2")
  end)

  it("gives each reader a row of its own", function()
    local users = lookup.of("csv", "id,x\n1,2\n")
    users["1"].x = "changed"
    assert.equal("2", users["1"].x)
  end)

  it("cannot be walked or changed: its file is what is changed", function()
    local users = lookup.of("csv", "id\n1\n")
    assert.has_error(function() users.x = 1 end, "a lookup table is not to be changed; its file is")
    assert.has_error(function() return pairs(users) end)
    assert.equal("a lookup table", getmetatable(users))
  end)

  it("finds each of many keys, of all lengths, and none besides", function()
    math.randomseed(7)
    local lines, keys = { "id,n" }, {}
    for i = 1, 20000 do
      keys[i] = ("%d-%s"):format(i, ("k"):rep(math.random(0, 40)))
      lines[i + 1] = keys[i] .. "," .. i
    end
    local users = lookup.of("csv", table.concat(lines, "\n"))
    for i, key in ipairs(keys) do
      if users[key].n ~= tostring(i) or users[key .. "x"] then error("key " .. key) end
    end
    assert.equal(20000, #users)
  end)

  it("that lies in memory of anything else gives no row and reads nothing beyond", function()
    local C = require("tidemill.run.ffi").C
    local size = 4096
    local memory, row = ffi.new("uint8_t[?]", size), ffi.new "struct tide_lookup_row"
    math.randomseed(11)
    for _ = 1, 2000 do
      for i = 0, size - 1 do memory[i] = math.random(0, 255) end
      local table = ffi.cast("struct tide_lookup_table *", memory)
      table.rows, table.size, table.index, table.mask = 5, size, math.random(0, 2 * size), math.random(0, 300)
      C.tide_lookup_find(table, "key", 3, row)
    end
    ffi.fill(memory, size)
    assert.is_false(C.tide_lookup_find(ffi.cast("struct tide_lookup_table *", memory), "key", 3, row))
  end)

  it("checks what it is told", function()
    local function fault(expected, options)
      assert.same({ nil, expected }, { lookup.open(options) })
    end
    fault('takes the path of a file, as tide.lookup "users.csv" or tide.lookup { "users.csv", by = "id" }', {})
    fault('has no option key; it has by, format, separator', { "x.csv", key = "id" })
    fault('the name of the file does not tell its format: add format = "csv", "json" or "msgpack"', "users.txt")
    fault('format is "csv", "json" or "msgpack"', { "users.txt", format = "xml" })
    fault('says which member is the key: tide.lookup { "users.jsonl", by = "id" }', "users.jsonl")
    fault("by has 1 to 8 names", { "users.csv", by = {} })
    fault("separator is one byte, and no quote or line break", { "users.csv", separator = "\n" })
    fault("separator is for CSV alone", { "users.jsonl", by = "id", separator = ";" })
    fault("no.csv: No such file or directory", "no.csv")
  end)
end)
