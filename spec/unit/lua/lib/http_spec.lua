-- SPDX-License-Identifier: MIT
-- tide.http and tide.registry against servers on 127.0.0.1: what they send and get, what ends a request, and that
-- connections are kept.
local child = require "spec.support.child"
local http_stub = require "spec.support.http_stub"
local ports = require "spec.support.port"
local refusals = require "spec.support.refusals"
local tide = require "tidemill"
local refused, raises = refusals.refused, refusals.raises

local http, registry = tide.http, tide.registry

describe("tide.http", function()
  local address

  before_each(function()
    address = "http://127.0.0.1:" .. http_stub.start(function(method, path, headers, body, number)
      if path == "/silent" then return nil end
      if path == "/close" then return "close" end
      if path == "/big" then return 200, ("x"):rep(3e6) end
      if path == "/twice" then return 200, "", "X-A: 1\r\nx-a: 2\r\n" end
      if path == "/number" then return 200, tostring(number) end
      return 201, table.concat({ method, path, headers["x-mine"] or "", body }, "|"), "Content-Type: text/x\r\n"
    end)
  end)
  after_each(child.stop_all)

  it("tide.http.request gives status, headers and body", function()
    local answer = assert(http.request(address .. "/a?b=c"))
    assert.same({ 201, "GET|/a?b=c||", "text/x" }, { answer.status, answer.body, answer.headers["content-type"] })
    assert.equal("POST|/|m|body\0x",
      http.request { url = address, headers = { ["X-Mine"] = "m" }, body = "body\0x" }.body)
    assert.equal("PUT|/||", http.request { url = address, method = "PUT", body = "" }.body)
    assert.equal("DELETE|/x||", http.request { url = address .. "/x", method = "DELETE" }.body)
    assert.same({ 201, "" }, { http.request { url = address, method = "HEAD" }.status,
      http.request { url = address, method = "HEAD" }.body })
    assert.equal("1, 2", http.request(address .. "/twice").headers["x-a"])
    assert.equal("GET|/||", http.request((address:gsub("127.0.0.1", "localhost"))).body)
  end)

  it("tide.http.all keeps connections, as many as are allowed at once, and the order of the list", function()
    local list = {}
    for i = 1, 40 do list[i] = address .. "/" .. i end
    for i, answer in ipairs(http.all(list, { concurrency = 4 })) do assert.equal("GET|/" .. i .. "||", answer.body) end
    for i = 1, 40 do list[i] = address .. "/number" end
    for _, answer in ipairs(http.all(list, { concurrency = 4 })) do assert.is_true(tonumber(answer.body) <= 4) end
    assert.same({}, http.all {})
  end)

  it("tide.http gives each request its own error, and goes on", function()
    local answers = http.all { address .. "/close", address .. "/ok", { url = address .. "/silent", timeout = 0.05 },
      { url = address .. "/big", most = 1000 }, "http://127.0.0.1:1/", "http://no.such.host.invalid/",
      { url = address .. "/big", most = 3e6 } }
    assert.matches("Empty reply from server", answers[1].error)
    assert.equal("GET|/ok||", answers[2].body)
    assert.matches("timed out", answers[3].error)
    assert.equal("a body of more than 1000 bytes", answers[4].error)
    assert.matches("Failed to connect to 127.0.0.1 port 1", answers[5].error)
    assert.matches("^no.such.host.invalid: ", answers[6].error)
    assert.equal(3000000, #answers[7].body)
    refused("Empty reply", http.request(address .. "/close"))
  end)

  it("tide.http names the script's line for what is no request", function()
    for reason, options in pairs { ["http://host... or https://host..., got \"ftp://x/\""] = "ftp://x/",
      ["url takes a text, got nil"] = {}, ["no option \"uri\""] = { uri = "x" },
      ["\"a b\" is no name of a header"] = { url = address, headers = { ["a b"] = "x" } },
      ["the header X takes a text of one line"] = { url = address, headers = { X = "a\r\nb" } },
      ["method takes a word as GET"] = { url = address, method = "G T" },
      ["timeout takes seconds"] = { url = address, timeout = -1 },
      ["most takes a number of bytes"] = { url = address, most = "x" } } do
      raises(reason, function() return (http.request(options)) end)
      raises(reason, function() return (http.all { options }) end)
    end
    raises("all takes a list of requests", function() return (http.all(7)) end)
    raises("concurrency takes an integer", function() return (http.all({}, { concurrency = 0 })) end)
  end)
end)

describe("tide.registry", function()
  local SCHEMA = '{"type":"record","name":"R","fields":[{"name":"x","type":"int"}]}'
  local port, address, subject

  before_each(function()
    port = http_stub.start(http_stub.registry())
    address, subject = "http://127.0.0.1:" .. port, "orders-value"
  end)
  after_each(child.stop_all)

  local function count() return tonumber(http.request(address .. "/count").body) end

  it("tide.registry registers a schema, and writes and reads by it, asking once", function()
    local one = registry { url = address .. "/" }
    assert.equal(1, one:register(subject, SCHEMA))
    assert.equal("\0\0\0\0\1\14", one:encode(subject, { x = 7 }))
    for i = 1, 100 do assert.same({ x = i }, one:decode(one:encode(subject, { x = i }))) end
    assert.same({ x = -1 }, one:schema(1):decode "\1")
    assert.equal(1, select(2, one:latest(subject)))
    assert.equal(2, count())
    assert.equal(1, one:register(subject, SCHEMA))
    assert.equal(2, count())
    local other = registry { url = address }
    for i = 1, 100 do assert.same({ x = i }, other:decode(one:encode(subject, { x = i }))) end
    assert.equal(3, count())
    raises("registry:encode: orders-value: schema:encode: R has no field y",
      function() return (one:encode(subject, { x = 1, y = 2 })) end)
  end)

  it("tide.registry tells what is not there from what may be there later", function()
    local one = registry { url = address }
    local _, problem, later = one:decode "\0\0\0\0\9x"
    assert.matches("/schemas/ids/9: 404: Schema 9 not found", problem)
    assert.is_false(later)
    one:decode "\0\0\0\0\9x"
    assert.equal(1, count())
    _, problem, later = one:encode("none/x", {})
    assert.matches("/subjects/none%%2Fx/versions/latest: 404: Subject", problem)
    assert.is_false(later)
    _, problem, later = one:schema(500)
    assert.matches("500: no answer of a registry", problem)
    assert.is_true(later)
    refused("the first byte is 1", one:decode "\1\0\0\0\1\1")
    _, problem, later = registry { url = "http://127.0.0.1:1" }:schema(1)
    assert.matches("^registry: http://127.0.0.1:1: Failed to connect", problem)
    assert.is_true(later)
  end)

  it("tide.registry gives up a message for what the registry says of its schema, and for nothing else", function()
    local one = registry { url = address }
    for _, status in ipairs { 302, 403, 404, 408, 429, 503 } do -- a proxy's: the body is none of a registry
      local _, problem, later = one:schema(status)
      assert.equal(("registry: %s/schemas/ids/%d: %d: no answer of a registry"):format(address, status, status),
        problem)
      assert.is_true(later)
    end
    local _, problem, later = registry { url = address, token = "x" }:schema(1)
    assert.matches("/schemas/ids/1: 401: Unauthorized", problem)
    assert.is_true(later)
    _, problem, later = registry { url = address .. "/elsewhere" }:schema(1)
    assert.matches("/elsewhere/schemas/ids/1: 404: HTTP 404 Not Found", problem)
    assert.is_true(later)
    one:register("o", '{"type":1}')
    _, problem, later = one:latest "o"
    assert.matches("^registry: subject o: the schema: ", problem)
    assert.falsy(later)
  end)

  -- Registers a schema that refers to others: { { name, subject, version } }.
  local function register(of, text, references, kind)
    for i, each in ipairs(references) do references[i] = { name = each[1], subject = each[2], version = each[3] } end
    local answer = http.request { url = address .. "/subjects/" .. of .. "/versions", body = tide.json.encode {
      schema = text, references = tide.array(references), schemaType = kind } }
    return tide.json.table(answer.body).id
  end

  it("tide.registry reads and writes by schemas of Avro that refer to others", function()
    local one = registry { url = address }
    register("city", '{"type":"record","name":"City","namespace":"geo","fields":[{"name":"name","type":"string"}]}', {})
    register("user", '{"type":"record","name":"User","namespace":"crm","fields":[{"name":"in","type":"geo.City"}]}',
      { { "geo.City", "city", 1 } })
    local order = '{"type":"record","name":"Order","fields":[{"name":"by","type":"crm.User"},'
      .. '{"name":"to","type":"geo.City"}]}'
    local id = register("order", order, { { "crm.User", "user", 1 }, { "geo.City", "city", -1 } })
    local value = { by = { ["in"] = { name = "Rom" } }, to = { name = "Ulm" } }
    local bytes = assert(one:encode("order", value))
    assert.equal(("\0\0\0\0%s\6Rom\6Ulm"):format(string.char(id)), bytes)
    assert.same(value, one:decode(bytes))
    assert.same(value, registry { url = address }:decode(bytes))
    local lost = register("lost", '{"type":"array","items":"geo.City"}', { { "geo.City", "city", 7 } })
    local _, problem, later = one:schema(lost)
    assert.matches("/subjects/city/versions/7%?deleted=true: 404: Version 7 not found", problem)
    assert.is_false(later)
    refused("there is no type", one:schema(register("bare", '{"type":"array","items":"geo.City"} ', {})))
  end)

  it("tide.registry ends with references in a circle, which no registry should have", function()
    local id = register("circle", '["null"]', { { "x", "circle", 1 } })
    assert.equal(tide.null, registry { url = address }:schema(id):decode "\0")
  end)

  it("tide.registry reads messages of Protocol Buffers by the descriptor that it is given", function()
    local function piece(number, text) return string.char(number * 8 + 2, #text) .. text end
    local function message(name, field) -- one field, an int32
      return piece(4, piece(1, name) .. piece(2, piece(1, field) .. "\24\1\32\1\40\5"))
    end
    local file = piece(1, "f.proto") .. message("A", "a") .. message("B", "b") .. piece(12, "proto3")
    local one = registry { url = "http://127.0.0.1:" .. http_stub.start(http_stub.registry {
      [7] = tide.base64.encode(file), [8] = "?" }) }
    for _ = 1, 3 do
      assert.same({ a = 5 }, one:decode "\0\0\0\0\7\0\8\5")
      assert.same({ b = 6 }, one:decode "\0\0\0\0\7\2\2\8\6")
    end
    refused("there is no message with these indexes", one:decode "\0\0\0\0\7\2\4\8\6")
    refused("schema 7 is of type PROTOBUF, where one of AVRO is wanted", one:schema(7))
    refused("schema 8: the answer is no descriptor in base64", one:decode "\0\0\0\0\8\0\8\5")

    -- message C { A a = 1; google.protobuf.Timestamp at = 2; }, in a file that imports that of A and protoc's own
    local function field(name, number, of)
      return piece(2, piece(1, name) .. "\24" .. string.char(number) .. "\32\1\40\11" .. piece(6, of))
    end
    local c = piece(1, "c.proto") .. piece(4, piece(1, "C") .. field("a", 1, ".A")
      .. field("at", 2, ".google.protobuf.Timestamp")) .. piece(12, "proto3")
    register("f", tide.base64.encode(file), {}, "PROTOBUF")
    local id = register("c", tide.base64.encode(c), { { "f.proto", "f", 1 } }, "PROTOBUF")
    assert.same({ a = { a = 5 }, at = { seconds = 7, nanos = 0 } },
      registry { url = address }:decode("\0\0\0\0" .. string.char(id) .. "\0\10\2\8\5\18\2\8\7"))
  end)

  it("tide.registry uses the latest schema that it has while the registry is away", function()
    local kept = http_stub.start(http_stub.registry(), ports.keep()) -- no other program is there when it is away
    local one = registry { url = "http://127.0.0.1:" .. kept, refresh = 1e-9 }
    one:register(subject, SCHEMA)
    assert.equal("\0\0\0\0\1\2", one:encode(subject, { x = 1 }))
    child.stop_all()
    assert.equal("\0\0\0\0\1\4", one:encode(subject, { x = 2 }))
    assert.same({ x = 2 }, one:decode "\0\0\0\0\1\4")
  end)

  it("tide.registry shows who asks", function()
    assert.equal(1, registry { url = address, user = "ann", password = "secret" }:register(subject, SCHEMA))
    refused("401: Unauthorized", registry { url = address, user = "ann", password = "x" }:schema(1))
    assert.equal(1, select(2, registry { url = address:gsub("//", "//ann:secret@") }:latest(subject)))
    assert.equal(1, select(2, registry { url = address:gsub("//", "//ann:p%%40%%3As@") }:latest(subject)))
    assert.equal(1, select(2, registry { url = address, token = "abc" }:latest(subject)))
    raises("token and user are two ways", function() return (registry { url = address, token = "a", user = "b" }) end)
    raises("password takes a text", function() return (registry { url = address, password = 7 }) end)
    raises("url takes http://host:port", function() return (registry { url = "x" }) end)
    raises("no option", function() return (registry { address = "x" }) end)
  end)
end)
