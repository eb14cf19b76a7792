-- SPDX-License-Identifier: MIT
-- scripts/fuzz/seeds.lua writes inputs for the fuzz targets from real data: what the loop of a worker leaves in its
-- output block, the documents and pipeline files of the specs and the examples, lines that the engine writes. luajit
-- scripts/fuzz/seeds.lua FOLDER makes FOLDER/TARGET/NUMBER. The inputs that are kept are made of these by corpus.sh.
package.path = "./lua/?.lua;./lua/?/init.lua;./?.lua;" .. package.path
local ffi = require("ffi")
local batches = require("spec.support.batch")
local block = require("spec.support.block")
local made = require("spec.support.json_random")
local samples = require("spec.support.codec_samples")
local tide = require("tidemill")
local C = require("spec.support.headers").declare("base/text.h", "shm/message_json.h", "chain/dead_letter.h")

local folder = assert(arg[1], "usage: seeds.lua FOLDER")
local counts = {}

local function seed(target, bytes)
  if not counts[target] then
    assert(os.execute(("mkdir -p '%s/%s'"):format(folder, target)))
    counts[target] = 0
  end
  counts[target] = counts[target] + 1
  local file = assert(io.open(("%s/%s/%03d"):format(folder, target, counts[target]), "wb"))
  file:write(bytes)
  file:close()
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

local function files(pattern)
  local pipe, list = assert(io.popen("ls " .. pattern)), {}
  for path in pipe:lines() do list[#list + 1] = path end
  pipe:close()
  return list
end

local char = string.char

-- ---- output blocks ----

local functions = {
  function(message) return message end,
  function(message) return message.value .. "!" end,
  function(message) return message.offset % 2 == 0 and message or nil end,
  function(message) return tide.many { message, "other", { value = "a table", key = "k" } } end,
  function(message) return message.offset == 1 and tide.reject "no" or message end,
  function(message) return message.offset == 2 and tide.retry "later" or message end,
  function(message)
    message.headers = { { "source", "a" }, { "null" }, { "", "" } }
    return message
  end,
  function(message)
    message.json.level = "changed"
    message.key, message.timestamp = "key", 77
    return message
  end,
  function() return { value = "", key = "", headers = { a = "b" } } end,
}

local values = { '{"level":"info","id":1}', '{"level":"debug"}', '{"a":[1,2,3]}', '{}' }

for _, fn in ipairs(functions) do
  local run = block.new(values):run(block.loop(fn))
  local bytes = ffi.string(run.output + ffi.sizeof "struct tide_output", run.bytes)
  for _, head in ipairs { char(3, 0, 4, 3, 0, 0), char(3, 1, 4, 0, 1, 0), char(3, 0, 2, 1, 2, 0),
    char(3, 0, 4, 1, 3, 255) .. char(#bytes % 256, math.floor(#bytes / 256), 0, 0),
    char(3, 0, 4, 1, 4, 0) .. ("\8\0\1"):rep(8) } do
    seed("results", head .. bytes)
  end
  -- One operation after the other (targets/release.c): four messages are read, a worker leaves this block, and so on.
  local READ, LETTERS, PARTITION, CHANGE = char(0, 131, 10), char(3, 3), char(4, 0), char(5, 80, 0, 0, 0, 255)
  local function answer(to, how) return char(1, 0, to, how, 0, #bytes % 256, math.floor(#bytes / 256)) .. bytes end
  local function turn(room, time) return char(2, room, time or 1) end
  for settings = 0, 1 do
    for _, rest in ipairs {
      answer(4, 0) .. turn(255) .. LETTERS .. turn(255),
      answer(4, 0) .. turn(1) .. CHANGE .. turn(1) .. turn(255) .. answer(4, 0) .. turn(255),
      answer(4, 0) .. turn(1) .. PARTITION .. turn(255) .. PARTITION .. turn(255),
      answer(2, 2) .. turn(255) .. answer(4, 0) .. turn(255, 200) .. READ .. answer(4, 0) .. turn(255, 200),
      answer(1, 3) .. turn(255) .. answer(2, 3) .. turn(255) .. LETTERS .. answer(4, 0) .. turn(255),
      answer(1, 15 + 128) .. turn(255) .. LETTERS .. turn(255) .. answer(4, 0) .. turn(255),
      answer(0, 7) .. turn(255) .. answer(1, 35) .. turn(255) .. answer(4, 0) .. turn(255),
    } do
      seed("release", char(settings + 2) .. READ .. rest)
      seed("release", char(settings + 8) .. READ .. READ .. rest .. rest)
    end
  end
end

-- Changes of state, of a step that has three (the fourth byte of the head: 16 and 8 of it).
local FORTY_TWO = ffi.string(ffi.new("double[1]", 42), 8)
for _, one in ipairs { { 1, "a value" }, { 2, FORTY_TWO }, { 3, '{"a":[1,2]}' }, { 0, "" } } do
  for _, timer in ipairs { "", ffi.string(ffi.new("int64_t[1]", 1764275400000), 8) } do
    local value = timer .. one[2]
    local size = bit.band(40 + #value + 7, bit.bnot(7))
    local list = {}
    for index = 0, 2 do
      list[#list + 1] = ffi.string(ffi.new("struct tide_result", { size = size, index = index, kind = 4,
        topic = one[1] + (#timer > 0 and 128 or 0), timestamp = index == 1 and 60000 or -1, value_length = #value,
        key_length = -1, partition = index }), 40) .. value .. ("\0"):rep(size - 40 - #value)
    end
    local bytes = table.concat(list)
    seed("results", char(3, 0, 3, 1, 24, 0) .. bytes)
    seed("results", char(3, 0, 3, 1, 25, 0) .. bytes)
    seed("results", char(3, 0, 3, 1, 28, 0) .. ("\8\0\1"):rep(8) .. bytes)
  end
end

-- ---- headers and messages ----

local header_lists = { { { "a", "1" } }, { { "a", "1" }, { "a" }, { "", "" } }, { { "original_topic", "in" },
  { "truncated", "true" } }, { { "b\0c", "d\0" }, { ("long"):rep(40), ("value"):rep(40) },
  { "\195\169", "\255" } }, {} }
for _, list in ipairs(header_lists) do seed("headers", char(200) .. batches.pack(list)) end

local function big_endian(size, value)
  local bytes = {}
  for i = size - 1, 0, -1 do bytes[#bytes + 1] = char(math.floor(value / 256 ^ i) % 256) end
  return table.concat(bytes)
end

local function assignment(topics)
  local parts = { big_endian(2, 0), big_endian(4, #topics) }
  for _, topic in ipairs(topics) do
    parts[#parts + 1] = big_endian(2, #topic[1]) .. topic[1] .. big_endian(4, #topic[2])
    for _, partition in ipairs(topic[2]) do parts[#parts + 1] = big_endian(4, partition) end
  end
  return table.concat(parts)
end

seed("assignment", assignment { { "orders", { 0, 1, 7 } }, { "clicks", {} }, { "x", { 2 ^ 31 - 1 } } })
seed("assignment", assignment { { ("t"):rep(249), { 0 } } } .. big_endian(4, 3) .. "abc")
seed("assignment", assignment {})

-- One operation each (targets/messages.c). A worker is spawned, says hello, takes a job and reports it.
local SPAWNED, READY = char(8, 3, 0, 0, 101, 0), char(1, 0, 1, 0)
local SUBMIT, REPORT, POLL = char(5, 0, 1), char(0, 0, 0, 0, 9, 0, 0, 0, 1, 1), char(12, 3, 3)
local EXITED = char(8, 4, 0, 0, 101, 9)
local begun = SPAWNED .. READY .. POLL
seed("messages", begun .. SUBMIT .. POLL .. REPORT .. POLL)
seed("messages", begun .. SUBMIT .. char(7, 0, 3, 0, 1) .. POLL .. EXITED .. POLL)
seed("messages", begun .. SUBMIT .. POLL .. REPORT .. REPORT .. POLL .. EXITED .. POLL)
seed("messages", begun .. char(4, 0, 4, 1) .. char(2, 0, 0, 20) .. char(2, 0, 1, 30) .. POLL .. char(4, 3, 4, 2))
seed("messages", begun .. char(4, 0, 4, 1) .. (char(2, 0, 0, 252) .. POLL):rep(3))
seed("messages", begun .. SUBMIT .. POLL .. REPORT .. POLL .. char(6, 0) .. POLL .. EXITED .. POLL)
seed("messages", begun .. char(5, 1, 129) .. char(9, 0) .. POLL .. char(9, 1) .. POLL)
seed("messages", char(1, 0, 0, 9) .. "t.lua:1 x" .. char(12, 255, 255):rep(8))
seed("messages", char(1, 0, 2, 9) .. "it failed" .. POLL)
for i = 0, 7 do seed("messages", begun .. char(3, i, 8) .. "abcdefgh" .. POLL) end

-- Requests (targets/connector.c): four answers of connect(), each host of its table by each port and one more, messages
-- of other sizes; then questions after each name.
for host = 0, 7 do
  for answer = 0, 3 do seed("connector", char(0, host % 3, 0, answer, 1, host, 31, 0, answer)) end
  seed("connector", char(0, 0, 3, 1) .. char(1, host, 159, 0, 1) .. char(1, host, 21, 0, 2)
    .. char(1, host, 15, 0, 3, 15, 1) .. char(129, host, 30, 0, 4, 0))
  seed("connector", char(0, 1, 1, 0) .. char(8, host, 31, 0, 5, host * 5) .. ("raw"):rep(40) .. char(1, host, 23, 0, 6))
end
for name = 0, 4 do
  for kind = 0, 3 do seed("connector", char(1, kind * 2, name, 0) .. char(1, kind * 2 + 192, name, 0, 12, 0, 0, 0)) end
end
seed("connector", char(1, 1, 0, 8) .. "DB.EXAMPLE.COM\0\0")
seed("connector", char(1, 1, 0, 128) .. ("n"):rep(255) .. "\0")
seed("connector", char(1, 1, 0, 140) .. ("n"):rep(280))

-- ---- JSON ----

math.randomseed(7)

local function edits()
  local bytes = {}
  for i = 1, 24 do bytes[i] = char(math.random(0, 255)) end
  return char(#bytes) .. table.concat(bytes)
end

for _, case in ipairs(require("spec.support.json_corpus")) do
  if #case[1] < 600 then seed("json", char(0) .. case[1]) end
end
for _ = 1, 150 do seed("json", edits() .. made.document()) end
for _, path in ipairs(files "scripts/samples/*.jsonl") do
  local line = read(path):match("[^\n]+")
  seed("json", edits() .. line)
  seed("record", line)
end
local statistics = read("spec/unit/kafka/sink/stats_spec.lua"):match("%[%[(.-)%]%]"):gsub("%%d", "3")
seed("stats", statistics)
seed("stats", statistics .. "\0" .. statistics:gsub("3", "5"))
seed("stats", '{"msg_cnt":1e999,"brokers":{"a":{"rtt":{"avg":1.5,"cnt":18446744073709551615,"p99":-1,"min":0}}}}')

-- ---- HTTP ----

for _, request in ipairs { "localhost:9464\0/metrics", "127.0.0.1\0/healthz", "[::1]:80\0/readyz", "-\0/nothing?x=1",
  "evil.example\0/metrics", "tide.example\0/tap?step=1&rate=10&match1=value~x", "-\0/tap?" .. ("q"):rep(1022) .. "1",
  "-\0/tap?" .. ("q"):rep(1019) .. "&a=",
  "-\0/" .. ("p"):rep(2046), "-\0/" .. ("p"):rep(2047), "-\0/tap", "-\0/state/counts/a%20b?partition=1", "-\0/state/",
  "-\0/state" } do
  for method = 0, 2 do seed("http", char(method) .. request .. "\0" .. "\0\1\66\200\66\255\65\66\200\200") end
  seed("http", "\0" .. request .. "\0\0" .. ("\9\66\200"):rep(20))
end

local taps = { "step=1&rate=10&match1=key%3Dabc&match2=value~x+y", "match1=offset%3D1..20&match2=fate%3Drejected",
  "match1=header.name%3Dx&step=2", "rate=100", "step=1&worker=1&seconds=2.5", "worker=2", "seconds=nan&step=0x1",
  "partition=1..", "header.a~b", "topic=in", "fate=forwarded" }
for _, query in ipairs(taps) do seed("http_query", query) end
seed("http_query", 'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"version":1}')
seed("http_query", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab\ncd\r\n0\r\n\r\n")
seed("http_query", "HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n")

-- ---- files and texts ----

for _, path in ipairs(files "scripts/*.lua docs/*.md README.md") do
  local text = read(path)
  if path:find("%.lua$") then seed("pipeline_file", text) end
  for code in text:gmatch("```lua\n(.-)```") do
    if code:find("tide.pipeline", 1, true) and #code < 2500 then seed("pipeline_file", code) end
  end
end
for text in read("spec/unit/lua/plan/pipeline_file_spec.lua"):gmatch("%[%[(.-)%]%]") do
  seed("pipeline_file", 'local tide = require "tidemill"\n' .. text)
end
for _, text in ipairs { "5", "16MiB", "1.5KiB", "500ms", "0.5", "2h", "3d", "-1s", "1 GB", "9007199254740993", "1e3",
  "2026-01-31T12:00:00Z", "2026-01-31T12:00:00.5+01:00", "2024-02-29t23:59:59z", "1677-09-21T00:12:43.145224193Z",
  "\195\169\226\130\172\240\157\132\158", "\255a" } do
  seed("units", text)
end

-- ---- files of lookup tables ----

for keys = 0, 5 do
  for _, text in ipairs { "id,b,n\nu1,x,1\nu2,y,2\n",
    'id,b\r\n"a ""q""","x\ny"\r\n,\n', "\239\187\191id;b\n1;2\n\n", "id\nx\nx\n",
    "id,b\n" .. ("x"):rep(300) .. ",y\n" } do
    seed("lookup", char(0, keys) .. text)
  end
  for _, text in ipairs { '{"id":1,"b":"x"}\n{"b":"y","id":"z","c":[1,{}],"d":null}\n',
    ' {"id":9007199254740993,"b":-0.0}\r\n\n',
    '{"id":"\\u00e4","b":true}\n[]', '{"id":1,"b":2,"id":3}' } do
    seed("lookup", char(1, keys) .. text)
  end
  for _, row in ipairs { { id = 1, b = "x" }, { id = "a", b = 2, c = tide.array { 1, { d = tide.null } } },
    { id = -5, b = 1.5, e = tide.msgpack.ext(3, "abc"), f = tide.msgpack.bin "x" } } do
    seed("lookup", char(2, keys) .. tide.msgpack.encode(row) .. tide.msgpack.encode { id = "last", b = "y" })
  end
end

-- ---- what the engine writes ----

-- Records of changelogs (targets/changelog.c), and changes of a worker that are written as such.
for _, text in ipairs { "number 0 812345\n42", "number 0 7\n-0.10000000000000001", "number 0 1 -5\nnan(0xfffff)",
  "number 1764275400000 9223372036854775807 -9223372036854775808\n1e999", 'json 0 7\n{"a":1}', "string 1 0\na\0b\n",
  "none 0 7 1764275400000\n", "none 0 7\n", "string 0 7 \nx", "string -1 7\nx", "string 0 99999999999999999999\nx" } do
  seed("changelog", "\0" .. text)
end
for kind = 0, 3 do
  for _, timed in ipairs { 0, 4 } do
    seed("changelog", char(1, kind + timed) .. ffi.string(ffi.new("int64_t[3]", 60000, 77, -2 ^ 63), 24) .. "12345678")
  end
end

local line = ffi.gc(ffi.new "struct tide_text", C.tide_text_free)
local from = ffi.new("struct tide_dead_letter_source", { topic = "in", partition = 3, offset = 7, count = 2,
  target = "out", target_partition = 1, intermediate = true })
for _, value in ipairs { "plain", '{"a":1}', "\255\0", "" } do
  for _, list in ipairs(header_lists) do
    local message, keep = batches.message { value = value, key = value, headers = list, timestamp = 1700000000000 }
    local reject = ffi.new("struct tide_reject", { message = message, stage = "produce", reason = "refused",
      error = "too large", traceback = "t.lua:1", cause = "SIGSEGV", attempts = 2 })
    C.tide_dead_letter_line(line, reject, from)
    seed("dead_letter", ffi.string(line.data, line.length))
    local packed = batches.pack(list)
    line.length = 0
    C.tide_text_string(line, '{"topic":"in",')
    for _, name in ipairs { "key", "value" } do
      C.tide_json_field(line, name, value, #value)
      C.tide_text_string(line, ",")
    end
    C.tide_json_headers(line, packed, #packed, 1000)
    C.tide_text_string(line, "}")
    seed("record", ffi.string(line.data, line.length))
    assert(keep)
  end
end
seed("record", '{"headers":{"a":"b","c":null},"value":null,"timestamp":5}')
seed("dead_letter", "original_topic\0in\0original_partition\0003\0stage\0produce\0target_topic\0out\0truncated\0true")
seed("dead_letter", "tidemill.replay_count\0002\0original_topic\0in\0reason\0error")
for _, text in ipairs { "r2.3.1", "r0", "bAQ==", "b////" } do seed("dead_letter", text) end

-- ---- values of the codecs, and lines of text (the first letter says what reads it) ----

for i, schema in ipairs(samples.AVRO) do
  local codec = tide.avro.schema(schema, { tagged = true })
  seed("codecs", "A" .. schema .. "\0" .. ("\2"):rep(9))
  for _, value in ipairs(samples.avro_values(tide.null)[i]) do
    seed("codecs", "a" .. char(i - 1) .. codec:encode(value))
    seed("codecs", "A" .. schema .. "\0" .. codec:encode(value))
  end
  local answer = tide.json.encode { schema = schema, id = i }
  seed("codecs", "r" .. answer .. "\0" .. answer .. "\0\14\0\0")
end
local set = samples.descriptors()
local order = tide.protobuf.types(set):message "shop.Order"
for _, value in ipairs(samples.protobuf_values()) do
  local bytes = order:encode(value)
  seed("codecs", "p" .. bytes)
  seed("codecs", "P" .. char(math.floor(#set / 256), #set % 256) .. set .. bytes)
  seed("codecs", "c" .. tide.protobuf.wrap(7, { 1, 0 }, bytes:sub(1, 9)))
end
local file = tide.json.encode { schema = tide.base64.encode(set:match "^\10[\128-\255]*[%z\1-\127](.*)$"),
  schemaType = "PROTOBUF" }
seed("codecs", "r" .. file .. "\0" .. file .. "\0\0")
seed("codecs", 'r{"schema":"\\"int\\"","id":5,"references":[{"name":"x"}]}\0{"error_code":40401,"message":"none"}\0x')
for _, value in ipairs { { a = 1, b = { 1.5, 2 ^ 60, -1, true, tide.null } }, { tide.msgpack.ext(-1, "abcd"),
  tide.msgpack.bin "\255" }, tide.msgpack.map { "x", "y" }, ("x"):rep(40), -9007199254740993LL } do
  seed("codecs", "m" .. tide.msgpack.encode(value))
end
for _, text in ipairs { "", "abcabcabc" } do
  seed("codecs", "g" .. tide.gzip.compress(text))
  seed("codecs", "g" .. tide.zstd.compress(text))
end

for how = 0, 7 do
  for _, text in ipairs { "a,b\r\n1,2\n", '"x ""y""";z\n', "a\tb\n\n", "\239\187\191a,'b'" } do
    seed("texts", "c" .. char(how) .. text)
  end
end
for _, case in ipairs { "l level=info msg=\"a \\u00e4\\n\" ok id=12 empty=",
  's <34>1 2003-10-11T22:14:15.003Z h su - ID47 [a@1 x="1" y="\\]"][b] \239\187\191text', "s <34>1 - - - - - -",
  "s <34>Oct 11 22:14:15 mymachine su[1]: 'su root' failed", 'g\0001.2.3.4 - ann [10/Oct/2000:13:55:36 -0700] "GET /a '
  .. 'HTTP/1.0" 200 2326 "-" "Mozilla"', "g\1Oct 11 22:14:15 h su[7]: rest", "g\0022026-01-31T12:00:00Z WARN",
  "g\0031.5 -7", "g\4http://u@h:80/a?b#c", "g\6" .. "7 a 7", "G %{INT:a:int} (?<b>x)\0007 x",
  "t\00010/Oct/2000:13:55:36 -0700", "t\0012026-01-31 12:00:00,123", "t\2Sat, 31 Jan 2026 12:00:00 GMT",
  "t\0031/2/69 1:05 PM", "t\0042024-060", "t\5-1769860800.25 +01:00", "t\6Oct  1 22:14:15", "T %A %y%%%n%t%R%D%k%l\0x",
  "u http://u:p@[::1]:80/a/b?c=d&c=%20+e#f", "u a=1&b=%00&a=2", "e\1\195\169\226\130\172\240\157\132\158",
  "e\1\255" } do
  seed("texts", case)
end

local names = {}
for target, count in pairs(counts) do names[#names + 1] = ("%s %d"):format(target, count) end
table.sort(names)
io.stdout:write(table.concat(names, ", "), "\n")
