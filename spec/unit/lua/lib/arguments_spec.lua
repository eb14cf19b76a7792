-- SPDX-License-Identifier: MIT
-- Every function of the library with arguments of every kind: what it does not take is an error in the line of the
-- script, never one of our files; what it takes gives a value, or nil and the reason.
local tide = require "tidemill"

local KINDS = {
  { "nil", nil }, { "boolean", true }, { "zero", 0 }, { "one", 1 }, { "negative", -1 }, { "fraction", 0.5 },
  { "nan", 0 / 0 }, { "infinite", math.huge }, { "below", -math.huge }, { "large", 2 ^ 53 }, { "huge", 2 ^ 53 + 2 },
  { "huge", 2 ^ 63 }, { "huge", 1e300 }, { "below", -1e300 }, { "int64", 1LL }, { "negative64", -1LL },
  { "int64", 0x7fffffffffffffffLL }, { "uint64", 1ULL }, { "uint64", 0xffffffffffffffffULL }, { "text", "" },
  { "text", "\0" }, { "text", ("x"):rep(2 ^ 20) }, { "table", {} }, { "function", function() end },
  { "null", tide.null }, { "thread", coroutine.create(function() end) }, { "cdata", require("ffi").new "int[1]" },
}

local function set(text)
  local kinds = {}
  for kind in text:gmatch "%S+" do kinds[kind] = true end
  return kinds
end

local TEXT = set "text"
local BITS = set "zero one large int64 negative64 uint64"
local MOST = set "nil zero one fraction infinite large huge int64 uint64"
local VALUES = "boolean zero one negative fraction large huge int64 negative64 uint64 text"
local ANY = set("nil nan infinite below table function null thread cdata " .. VALUES)
local WHOLE = set "zero one negative large int64 negative64 uint64"
local MOMENT = set "zero one negative fraction large int64 negative64"

-- A function, arguments that it takes, and for each of them what is taken in its place: by its kind; by `some`, some
-- values of the kind only.
local calls = {
  { "time.now", { "ms" }, { set "nil" } },
  { "time.parse", { "2026-01-31T12:00:00Z", "ms" }, { ANY, set "nil" } },
  { "time.format", { 0, "ms" }, { MOMENT, set "nil" }, some = "huge uint64" },
  { "time.convert", { 1, "s", "s" }, { MOMENT, set "nil", set "nil" },
    some = "huge int64 uint64" },
  { "time.strptime", { "2026", "%Y", "ms", {} }, { TEXT, set "", set "nil", set "nil table" }, some = "text" },
  { "hmac.sha1", { "k", "x", "raw" }, { TEXT, TEXT, set "nil" } },
  { "hmac.sha256", { "k", "x", "raw" }, { TEXT, TEXT, set "nil" } },
  { "hmac.sha384", { "k", "x", "raw" }, { TEXT, TEXT, set "nil" } },
  { "hmac.sha512", { "k", "x", "raw" }, { TEXT, TEXT, set "nil" } },
  { "hmac.equal", { "a", "b" }, { TEXT, TEXT } },
  { "utf8.len", { "x" }, { TEXT } },
  { "utf8.sub", { "x", 1, 1 }, { TEXT, WHOLE, set("nil zero one negative large int64 negative64 uint64") },
    some = "int64 uint64" },
  { "csv.decode", { "x", {} }, { TEXT, set "nil table" } },
  { "csv.decode_row", { "x", {} }, { TEXT, set "nil table" } },
  { "csv.encode", { { { "x" } }, {} }, { set "table", set "nil table" } },
  { "csv.encode_row", { { "x" }, {} }, { set "", set "nil table" } },
  { "grok.match", { "x", "x", {} }, { TEXT, TEXT, set "nil table" }, some = "text" },
  { "url.parse", { "x" }, { TEXT } },
  { "url.build", { {} }, { set "table" } },
  { "url.query", { "x" }, { TEXT } },
  { "url.build_query", { {} }, { set "table" } },
  { "url.escape", { "x" }, { TEXT } },
  { "url.unescape", { "x" }, { TEXT } },
  { "logfmt.decode", { "x" }, { TEXT } },
  { "logfmt.encode", { {}, {} }, { set "table", set "nil table" } },
  { "syslog.decode", { "x" }, { TEXT } },
  { "syslog.encode", { { facility = 1, severity = 1 } }, { set "" } },
  { "syslog.facility_name", { 1 }, { set "zero one" }, some = "int64 uint64" },
  { "syslog.severity_name", { 1 }, { set "zero one" }, some = "int64 uint64" },
  { "hash.xxhash64", { "x", 1 }, { TEXT, set "nil zero one large int64 negative64 uint64" } },
  { "hash.sha256", { "x" }, { TEXT } },
  { "hash.crc32c", { "x" }, { TEXT } },
  { "hash.hex", { 1 }, { BITS } },
  { "avro.schema", { "int", {} }, { TEXT, set "nil table" }, some = "text" },
  { "avro.load", { "spec/unit/lua/lib/none.avsc", {} }, { set "", set "nil table" }, some = "nil table" },
  { "avro.unwrap", { "x" }, { TEXT } },
  { "avro.wrap", { 1, "x" }, { set "zero one int64 uint64", TEXT }, some = "int64 uint64" },
  { "avro.decimal", { "x", 1 }, { TEXT, set "zero one" }, some = "int64 uint64" },
  { "avro.decimal_bytes", { "1", 1, 1 }, { TEXT, set "zero one", set "nil one" }, some = "int64 uint64" },
  { "protobuf.types", { "" }, { set "" } },
  { "protobuf.load", { "none.desc" }, { set "" } },
  { "protobuf.unwrap", { "x" }, { TEXT } },
  { "protobuf.wrap", { 1, { 0 }, "x" }, { set "zero one int64 uint64", set "", TEXT }, some = "int64 uint64" },
  { "base64.encode", { "x", "url" }, { TEXT, set "nil" } },
  { "base64.decode", { "eA==" }, { TEXT } },
  { "regex.test", { "x", "x", "i" }, { TEXT, TEXT, set "nil" }, some = "text" },
  { "regex.named", { "x", "x", "i" }, { TEXT, TEXT, set "nil" }, some = "text" },
  { "regex.match", { "x", "x", "i" }, { TEXT, TEXT, set "nil" }, some = "text" },
  { "regex.find", { "x", "x", "i", 1 }, { TEXT, TEXT, set "nil", set "nil one large int64 uint64" },
    some = "text int64 uint64" },
  { "regex.gsub", { "x", "x", "y", "i" }, { TEXT, TEXT, set "text function", set "nil" }, some = "text" },
  { "gzip.compress", { "x", 6 }, { TEXT, set "nil zero one" }, some = "int64 uint64" },
  { "gzip.decompress", { "x", 6 }, { TEXT, MOST } },
  { "zstd.compress", { "x", 6 }, { TEXT, set "nil zero one negative negative64" }, some = "int64 uint64" },
  { "zstd.decompress", { "x", 6 }, { TEXT, MOST } },
  { "msgpack.encode", { 1 }, { set("nan infinite below table null " .. VALUES) } },
  { "msgpack.decode", { "x" }, { TEXT } },
  { "msgpack.bin", { "x" }, { TEXT } },
  { "msgpack.ext", { 1, "x" }, { set "zero one negative negative64", TEXT }, some = "int64 uint64" },
  { "msgpack.map", { { 1 } }, { set "table" } },
  { "json.text", { 1 }, { set(VALUES) }, some = "below" },
  { "json.encode", { 1 }, { set("table null " .. VALUES) },
    some = "below" },
  { "json.table", { "[]" }, { set "" }, some = "text" },
  { "json.type", { 1 }, { ANY } },
  { "json.len", { }, { set "" } },
  { "json.each", { }, { set "" } },
  { "array", { { 1 } }, { set "nil table" } },
  { "pack", { {} }, { set "table" } },
  { "reject", { "x" }, { ANY } },
  { "many", { {} }, { ANY } },
  { "unpack", { "x" }, { ANY } },
  { "env", { "HOME", "x" }, { TEXT, ANY } },
}

local function function_of(name)
  local found = tide
  for part in name:gmatch "[^.]+" do found = found[part] end
  return found
end

local function shown(value)
  return type(value) == "string" and #value > 10 and "a long text" or tostring(value)
end

-- One call in a line of its own: ok, or the error.
local function try(fn, arguments, count)
  return pcall(function()
    local first = fn(unpack(arguments, 1, count))
    return first
  end)
end

describe("with arguments of every kind", function()
  for _, call in ipairs(calls) do
    local name, good, takes = unpack(call)
    it("tide." .. name .. " names the script's line when it refuses one", function()
      local fn, some = function_of(name), set(call.some or "")
      for position = 1, #takes do
        for index, kind in ipairs(KINDS) do
          local arguments = { unpack(good) }
          arguments[position] = kind[2]
          local ok, problem = try(fn, arguments, #takes)
          local case = ("argument %d = %s (%d): %s"):format(position, shown(kind[2]), index, shown(problem))
          if not ok then
            assert.is_true(tostring(problem):find "^spec/unit/lua/lib/arguments_spec%.lua:%d+: " ~= nil, case)
            assert.is_nil(tostring(problem):find("bad argument", 1, true), case)
          end
          if not some[kind[1]] then assert.equal(takes[position][kind[1]] or false, ok, case) end
        end
      end
    end)
  end

  it("tide.pack names the script's line for each field of a message", function()
    local integers = set "nil zero one large" -- a partition is below 2^31
    local takes = { value = set "nil null text", topic = set "nil null text", headers = set "table",
      key = set("nil null zero one negative fraction large huge int64 negative64 uint64 text below"), offset = integers,
      timestamp = integers, partition = integers }
    for field, kinds in pairs(takes) do
      for index, kind in ipairs(KINDS) do
        local message = { headers = {} }
        message[field] = kind[2]
        local ok, problem = try(tide.pack, { { message } }, 1)
        local case = ("%s = %s (%d): %s"):format(field, shown(kind[2]), index, shown(problem))
        if not ok then
          assert.is_true(tostring(problem):find "^spec/unit/lua/lib/arguments_spec%.lua:%d+: " ~= nil, case)
        end
        local edge = kind[2] == -math.huge or kind[2] == false or (field == "timestamp" and kind[2] == -1)
          or (field == "partition" and kind[2] == 2 ^ 53)
        if not edge then assert.equal(kinds[kind[1]] or false, ok, case) end
      end
    end
  end)

  it("each function of tide is called with arguments of every kind", function()
    local tested = {}
    for _, call in ipairs(calls) do tested[call[1]] = true end
    for _, word in ipairs { "time", "hash", "base64", "regex", "gzip", "zstd", "msgpack", "json", "hmac", "utf8", "csv",
      "logfmt", "syslog", "grok", "url", "avro", "protobuf" } do
      for name, value in pairs(tide[word]) do
        if type(value) == "function" then assert.is_true(tested[word .. "." .. name], word .. "." .. name) end
      end
    end
  end)
end)
