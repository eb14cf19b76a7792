-- SPDX-License-Identifier: MIT
-- What the codecs and parsers of the library cost: `luajit scripts/bench/codecs.lua` prints nanoseconds of processor
-- time for each call, on a message of its kind, and its bytes: the median of nine rounds, in compiled loops. Orders,
-- records of 9 members, are the same in all formats that hold them, and each of a round another one.
package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path
local tide = require "tidemill"

require("jit.opt").start("maxmcode=8192", "sizemcode=256", "maxtrace=4000", "maxrecord=16000", "maxirconst=4000")

local ROUNDS, SECONDS = 9, 0.02

local AVRO = tide.avro.schema [[{ "type": "record", "name": "Order", "fields": [
  { "name": "id", "type": "long" }, { "name": "user", "type": "string" },
  { "name": "city", "type": ["null", "string"] },
  { "name": "total", "type": "double" }, { "name": "count", "type": "int" }, { "name": "paid", "type": "boolean" },
  { "name": "state", "type": { "type": "enum", "name": "State", "symbols": ["NEW", "PAID"] } },
  { "name": "at", "type": "long" },
  { "name": "tags", "type": { "type": "array", "items": "string" } } ] }]]

-- message Order { int64 id = 1; string user = 2; string city = 3; double total = 4; int32 count = 5; bool paid = 6;
-- State state = 7; int64 at = 8; repeated string tags = 9; }, as descriptors: a file, in it a message and an enum.
local function descriptors()
  local function piece(number, bytes) return string.char(number * 8 + 2, #bytes) .. bytes end
  local function field(name, number, kind, label, type_name)
    return piece(2, piece(1, name) .. string.char(24, number, 32, label, 40, kind)
      .. (type_name and piece(6, type_name) or ""))
  end
  local function long(number, bytes)
    return string.char(number * 8 + 2, #bytes % 128 + 128, math.floor(#bytes / 128)) .. bytes
  end
  local order = piece(1, "Order") .. field("id", 1, 3, 1) .. field("user", 2, 9, 1) .. field("city", 3, 9, 1)
    .. field("total", 4, 1, 1) .. field("count", 5, 5, 1) .. field("paid", 6, 8, 1)
    .. field("state", 7, 14, 1, ".State") .. field("at", 8, 3, 1) .. field("tags", 9, 9, 3)
  local states = piece(1, "State") .. piece(2, piece(1, "NEW") .. "\16\0") .. piece(2, piece(1, "PAID") .. "\16\1")
  return long(1, piece(1, "order.proto") .. long(4, order) .. piece(5, states) .. piece(12, "proto3"))
end
local PROTOBUF = tide.protobuf.types(descriptors()):message "Order"

local function order(i)
  return { id = 123456789012 + i, user = "user-000001" .. i % 10, city = i % 2 == 0 and "London" or "Berlin",
    total = 1234.56 + i, count = i % 7, paid = i % 3 == 0, state = i % 2 == 0 and "PAID" or "NEW",
    at = 1769860800123 + i, tags = tide.array { "new", "gift", "fragile" } }
end
local ORDERS = 64
local LINE = "id=123456789012 user=user-0000017 city=London total=1234.56 count=3 paid=true state=PAID at=1769860800123"
local ROW = "123456789012,user-0000017,London,1234.56,3,true,PAID,1769860800123"
local SYSLOG = "<165>1 2026-01-31T12:00:00.003Z host.example.com app 17 ID47 [a@32473 iut=\"3\" source=\"x\"] order"
local ACCESS = '10.0.0.7 - - [31/Jan/2026:13:55:36 +0100] "GET /shop?item=7 HTTP/1.1" 200 2326 "-" "Mozilla/5.0"'
local URL = "https://ann@example.org:8080/a/b?item=7&name=x%20y"
local HEADER = { header = { "id", "user", "city", "total", "count", "paid", "state", "at" } }

local entry, parts = tide.syslog.decode(SYSLOG), tide.url.parse(URL)
local fields = tide.logfmt.decode(LINE)

local function call(fn, ...)
  local a, b = ...
  return function(count)
    for _ = 1, count do fn(a, b) end
  end
end

-- Calls that take another order each time: decode what `encode` gives, and encode.
local function order_cases(name, encode, decode)
  local orders, texts = {}, {}
  for i = 1, ORDERS do
    orders[i] = order(i)
    texts[i] = encode(orders[i])
  end
  return { name .. " decode", texts[1], function(count)
    for i = 1, count do decode(texts[i % ORDERS + 1]) end
  end }, { name .. " encode", texts[1], function(count)
    for i = 1, count do encode(orders[i % ORDERS + 1]) end
  end }
end

local CASES = {}
for _, format in ipairs {
  { "JSON", tide.json.encode, tide.json.table },
  { "avro", function(value) return AVRO:encode(value) end, function(bytes) return (AVRO:decode(bytes)) end },
  { "protobuf", function(value) return PROTOBUF:encode(value) end,
    function(bytes) return (PROTOBUF:decode(bytes)) end },
  { "msgpack", tide.msgpack.encode, tide.msgpack.decode },
} do
  local decode, encode = order_cases(unpack(format))
  table.insert(CASES, decode)
  table.insert(CASES, encode)
end

for _, case in ipairs {
  { "csv.decode_row", ROW, call(tide.csv.decode_row, ROW, HEADER) },
  { "csv.encode_row", ROW, call(tide.csv.encode_row, tide.csv.decode_row(ROW)) },
  { "logfmt.decode", LINE, call(tide.logfmt.decode, LINE) },
  { "logfmt.encode", LINE, call(tide.logfmt.encode, fields) },
  { "syslog.decode", SYSLOG, call(tide.syslog.decode, SYSLOG) },
  { "syslog.encode", SYSLOG, call(tide.syslog.encode, entry) },
  { "grok.match, COMBINEDAPACHELOG", ACCESS, call(tide.grok.match, ACCESS, "^%{COMBINEDAPACHELOG}$") },
  { "url.parse", URL, call(tide.url.parse, URL) }, { "url.build", URL, call(tide.url.build, parts) },
  { "time.strptime", "31/Jan/2026:13:55:36 +0100",
    call(tide.time.strptime, "31/Jan/2026:13:55:36 +0100", "%d/%b/%Y:%H:%M:%S %z") },
  { "hmac.sha256", LINE, call(tide.hmac.sha256, "a key of some length", LINE) },
  { "utf8.sub", LINE, function(count)
    for _ = 1, count do tide.utf8.sub(LINE, 1, 20) end
  end },
} do table.insert(CASES, case) end

-- The median of the rounds, in ns a call; each round takes SECONDS or more.
local function measure(run)
  local count, times = 100, {}
  run(1000)
  repeat
    count = count * 2
    local from = os.clock()
    run(count)
    local took = os.clock() - from
  until took >= SECONDS
  for i = 1, ROUNDS do
    local from = os.clock()
    run(count)
    times[i] = (os.clock() - from) / count * 1e9
  end
  table.sort(times)
  return times[math.ceil(ROUNDS / 2)]
end

print("| call | bytes | ns |\n|---|---|---|")
for _, case in ipairs(CASES) do
  print(("| %s | %d | %.0f |"):format(case[1], #case[2], measure(case[3])))
end
