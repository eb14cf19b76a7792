-- SPDX-License-Identifier: MIT
-- tide.csv, logfmt, syslog, hmac, utf8, time.strptime and regex.named: the examples of their standards, what they
-- refuse, and that what was encoded is decoded as it was.
local refusals = require "spec.support.refusals"
local seed = require "spec.support.seed"
local tide = require "tidemill"
local refused = refusals.refused

seed.draw()

-- All of what a function gave, for comparisons.
local function all(...) return { n = select("#", ...), ... } end

describe("tide.csv", function()
  local csv = tide.csv

  it("tide.csv reads the records of RFC 4180", function()
    assert.same({ { "aaa", "bbb" }, { "zzz", "yyy" } }, csv.decode "aaa,bbb\r\nzzz,yyy\r\n")
    assert.same({ { "aaa", "b\nbb", "c,c" } }, csv.decode '"aaa","b\nbb","c,c"')
    assert.same({ { 'b"bb', "" } }, csv.decode '"b""bb",\n')
    assert.same({ { "" } }, csv.decode "\n")
    assert.same({}, csv.decode "")
    assert.same({ { "x" } }, csv.decode "\239\187\191x\n")
    assert.same({ { "a\rb" } }, csv.decode "a\rb") -- a carriage return alone ends no line
    assert.same({ { "a", 'b"' } }, csv.decode("a;b\"", { separator = ";", quote = false }))
  end)

  it("tide.csv makes tables by the names of the header", function()
    assert.same({ { id = "1", name = "Ada" } }, csv.decode("id,name\n1,Ada\n", { header = true }))
    assert.same({ a = "1", b = "" }, csv.decode_row("1,", { header = { "a", "b" } }))
    refused("line 3: 1 fields where the header has 2", csv.decode("id,name\n1,Ada\n2\n", { header = true }))
    refused('the header has "id" twice', csv.decode("id,id\n", { header = true }))
  end)

  it("tide.csv refuses what is no CSV, and names the line", function()
    refused("line 2: a quote inside of a plain field", csv.decode 'a\nb"c\n')
    refused("line 1: a quoted field is not closed", csv.decode 'a,"b\n')
    refused("line 1: text behind a quoted field", csv.decode '"a"b\n')
    refused("more than one row", csv.decode_row "a\nb")
    assert.has_error(function() csv.decode("a", { seperator = ";" }) end)
    assert.has_error(function() csv.decode("a", { separator = '"' }) end)
    assert.has_error(function() csv.encode_row({ { } }) end)
    assert.has_error(function() csv.encode_row({ "a,b" }, { quote = false }) end)
  end)

  it("tide.csv decodes what it encoded, whatever the fields are", function()
    local draw = math.random
    for _ = 1, 500 do
      local rows, columns = {}, draw(1, 4)
      for i = 1, draw(1, 5) do
        rows[i] = {}
        for k = 1, columns do
          local bytes = {}
          for b = 1, draw(0, 6) do bytes[b] = ({ "a", ",", '"', "\n", "\r", ";", " ", "\0", "\255" })[draw(1, 9)] end
          rows[i][k] = table.concat(bytes)
        end
      end
      local options = draw(1, 2) == 1 and { separator = ";", newline = "\r\n" } or {}
      local text = csv.encode(rows, options)
      options.newline = nil
      local back = assert(csv.decode(text, options))
      assert.same(rows, back)
    end
  end)

  it("tide.csv writes numbers with all digits, null and nil as nothing", function()
    assert.equal('9007199254740993,1.5,true,,"a""b"',
      csv.encode_row { 9007199254740993LL, 1.5, true, tide.null, 'a"b' })
    assert.equal("id,name\n1,\n", csv.encode({ { id = 1 } }, { header = { "id", "name" } }))
  end)
end)

describe("tide.logfmt", function()
  local logfmt = tide.logfmt

  it("tide.logfmt reads keys, values and quotes", function()
    assert.same({ level = "info", msg = "order \"7\" accepted\n", id = "12", debug = true, empty = "" },
      logfmt.decode 'level=info msg="order \\"7\\" accepted\\n" id=12 debug empty=')
    assert.same({ a = "é€\240\157\132\158" }, logfmt.decode 'a="\\u00e9\\u20ac\\ud834\\udd1e"')
    assert.same({}, logfmt.decode "  ")
  end)

  it("tide.logfmt refuses what it would have to guess, and names the byte", function()
    refused("byte 4 is there twice", logfmt.decode "a=1 a=2")
    refused("the quote at byte 2 is not closed", logfmt.decode 'a="x')
    refused("text behind a quoted value at byte 5", logfmt.decode 'a="x"y')
    refused("a quote in a plain value", logfmt.decode 'a=x"y"')
    refused("no escape at byte 3", logfmt.decode 'a="\\q"')
    refused("no escape", logfmt.decode 'a="\\ud834"')
    refused("no key at byte 0", logfmt.decode "=x")
    assert.has_error(function() logfmt.encode { ["a b"] = 1 } end)
    assert.has_error(function() logfmt.encode { a = {} } end)
  end)

  it("tide.logfmt decodes what it encoded, in the order that was asked for", function()
    assert.equal('msg="a b" level=warn debug id=12', logfmt.encode({ id = 12, msg = "a b", level = "warn", debug = true,
      none = tide.null }, { "msg", "level" }))
    local draw = math.random
    for _ = 1, 500 do
      local entries = {}
      for i = 1, draw(0, 4) do
        local bytes = {}
        for b = 1, draw(0, 6) do bytes[b] = ({ "a", "=", '"', "\n", "\\", " ", "\0", "é", "\127" })[draw(1, 9)] end
        entries["k" .. i] = table.concat(bytes)
      end
      assert.same(entries, assert(logfmt.decode(logfmt.encode(entries))))
    end
  end)
end)

describe("tide.syslog", function()
  local syslog = tide.syslog

  it("tide.syslog reads the examples of RFC 5424", function()
    assert.same({ format = "rfc5424", facility = 4, severity = 2, timestamp = "2003-10-11T22:14:15.003Z",
      hostname = "mymachine.example.com", app_name = "su", msgid = "ID47", message = "'su root' failed for lonvick" },
      syslog.decode("<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - "
        .. "\239\187\191'su root' failed for lonvick"))
    local entry = syslog.decode('<165>1 2003-10-11T22:14:15.003Z host evntslog - ID47 '
      .. '[exampleSDID@32473 iut="3" eventSource="Appli\\]cation" eventID="1011"][examplePriority@32473 class="high"]')
    assert.same({ ["exampleSDID@32473"] = { iut = "3", eventSource = "Appli]cation", eventID = "1011" },
      ["examplePriority@32473"] = { class = "high" } }, entry.structured_data)
    assert.is_nil(entry.message)
    assert.same({ "local4", "notice" }, { syslog.facility_name(entry.facility), syslog.severity_name(entry.severity) })
    assert.same({ x = { p = { "1", "2" } } }, syslog.decode('<0>1 - - - - - [x p="1" p="2"]').structured_data)
  end)

  it("tide.syslog reads the examples of RFC 3164", function()
    assert.same({ format = "rfc3164", facility = 4, severity = 2, timestamp = "Oct 11 22:14:15", hostname = "mymachine",
      app_name = "su", message = "'su root' failed" },
      syslog.decode "<34>Oct 11 22:14:15 mymachine su: 'su root' failed")
    local entry = syslog.decode "<13>Feb  5 17:32:18 10.0.0.99 sshd[4721]: Accepted"
    assert.same({ "sshd", "4721", "Accepted" }, { entry.app_name, entry.procid, entry.message })
  end)

  it("tide.syslog refuses what is neither", function()
    refused("no priority", syslog.decode "34>1 - - - - - -")
    refused("no priority", syslog.decode "<192>1 - - - - - -")
    refused("no priority", syslog.decode "<007>1 - - - - - -")
    refused("version 2", syslog.decode "<34>2 - - - - - -")
    refused("no timestamp of RFC 5424", syslog.decode "<34>1 2003-13-11T22:14:15Z - - - - -")
    refused("has no end", syslog.decode '<34>1 - - - - - [x p="1')
    refused("are there twice", syslog.decode "<34>1 - - - - - [x][x]")
    refused("no hostname", syslog.decode("<34>1 - " .. ("x"):rep(256) .. " - - - -"))
    refused("neither a version of RFC 5424 nor a timestamp of RFC 3164", syslog.decode "<34>Oct 32 22:14:15 host x")
    assert.has_error(function() syslog.encode { facility = 24, severity = 0 } end)
    assert.has_error(function() syslog.encode { facility = 1, severity = 0, hostname = "a b" } end)
    assert.has_error(function() syslog.encode { facility = 1, severity = 0, structured_data = { x = { y = 1 } } } end)
    for problem, more in pairs {
      ['an entry has no "appname"'] = { appname = "su" },
      ["the values of y are a list; this has "] = { structured_data = { x = { y = { z = "lost" } } } },
      ["msgid cannot be written by RFC 3164"] = { format = "rfc3164", msgid = "ID47" },
      ["structured_data cannot be written by RFC 3164"] = { format = "rfc3164", structured_data = { x = { y = "z" } } },
      ["procid cannot be written by RFC 3164"] = { format = "rfc3164", procid = "7" },
    } do
      local entry = { facility = 1, severity = 0, hostname = "h", timestamp = more.format and "Oct 11 22:14:15" or nil }
      for name, value in pairs(more) do entry[name] = value end
      local ok, text = pcall(syslog.encode, entry)
      assert.is_false(ok)
      assert.is_truthy(text:find(problem, 1, true), text)
    end
  end)

  it("tide.syslog decodes what it encoded", function()
    for _, text in ipairs { '<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It\'s time',
      '<0>1 - - - - - -', '<34>1 - h a p m [x@1 a="\\"\\\\\\]" b="2"][y@2] text',
      "<34>Oct 11 22:14:15 mymachine su: 'su root' failed", "<13>Feb  5 17:32:18 h sshd[4721]: x" } do
      assert.equal(text, syslog.encode(assert(syslog.decode(text))))
    end
  end)
end)

describe("tide.hmac", function()
  it("tide.hmac gives the digests of RFC 2202 and RFC 4231", function()
    local key, text = "Jefe", "what do ya want for nothing?"
    assert.equal("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79", tide.hmac.sha1(key, text))
    assert.equal("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", tide.hmac.sha256(key, text))
    assert.equal(("af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
      .. "8e2240ca5e69e2c78b3239ecfab21649"), tide.hmac.sha384(key, text))
    assert.equal("164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
      .. "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737", tide.hmac.sha512(key, text))
    assert.equal(32, #tide.hmac.sha256("", "", "raw"))
    local equal = tide.hmac.equal
    assert.same({ true, false, false }, { equal("ab", "ab"), equal("ab", "ac"), equal("a", "") })
  end)
end)

describe("tide.utf8", function()
  it("tide.utf8 counts and cuts characters", function()
    local text = "aé€\240\157\132\158z"
    assert.equal(5, tide.utf8.len(text))
    assert.same({ "é€", "z", "", text, "€\240\157\132\158z" }, { tide.utf8.sub(text, 2, 3), tide.utf8.sub(text, -1),
      tide.utf8.sub(text, 4, 3), tide.utf8.sub(text, -9, 9), tide.utf8.sub(text, 3) })
    for _, bad in ipairs { "\128", "\192\128", "\224\128\128", "\237\160\128", "\244\144\128\128", "\245\128\128\128",
      "é\195" } do
      refused("not UTF-8 at byte", tide.utf8.len(bad))
      refused("not UTF-8 at byte", tide.utf8.sub(bad, 1))
    end
  end)
end)

describe("tide.time.strptime", function()
  local strptime = tide.time.strptime

  it("tide.time.strptime reads the formats of logs", function()
    for _, case in ipairs {
      { "10/Oct/2000:13:55:36 -0700", "%d/%b/%Y:%H:%M:%S %z", "2000-10-10T20:55:36.000Z" },
      { "2026-01-31 12:00:00,123", "%F %T,%f", "2026-01-31T12:00:00.123Z" },
      { "Sat, 31 Jan 2026 12:00:00 GMT", "%a, %d %b %Y %H:%M:%S %Z", "2026-01-31T12:00:00.000Z" },
      { "1/2/69 1:05 PM", "%m/%d/%y %I:%M %p", "1969-01-02T13:05:00.000Z" },
      { "2024-060", "%Y-%j", "2024-02-29T00:00:00.000Z" },
      { "1769860800", "%s", "2026-01-31T12:00:00.000Z" },
      { "2026-01-31 %T", "%F %%T", "2026-01-31T00:00:00.000Z" },
    } do
      local moment, reason = strptime(case[1], case[2])
      assert.equal(case[3], tide.time.format(assert(moment, reason)), case[1])
    end
    assert.equal(tide.time.parse "2026-10-11T21:14:15Z", strptime("Oct 11 22:14:15", "%b %e %T", "ms",
      { year = 2026, zone = "+01:00" }))
    assert.equal(1769860800123456789LL, strptime("2026-01-31T12:00:00.123456789Z", "%FT%T.%N%z", "ns"))
  end)

  it("tide.time.strptime gives the reason for what does not suit", function()
    refused("at byte 4", strptime("2026/01", "%Y-%m"))
    refused("no such moment", strptime("2026-02-29", "%F"))
    refused("no year", strptime("Oct 11", "%b %d"))
    refused("another weekday", strptime("Sun 2026-01-31", "%a %F"))
    refused("am or pm", strptime("2026-01-31 1", "%F %I"))
    refused("at byte 10", strptime("2026-01-31x", "%F"))
    refused("beyond what int64 holds", strptime("9999-01-01", "%F", "ns"))
    assert.has_error(function() strptime("x", "%Q") end)
    assert.has_error(function() strptime("x", "%") end)
  end)

  it("tide.time.strptime reads what tide.time.format wrote", function()
    local draw = math.random
    for _ = 1, 1000 do
      local moment = draw(-62135596800, 253402300799) * 1000 + draw(0, 999)
      local text = tide.time.format(moment)
      assert.equal(moment, strptime(text, "%Y-%m-%dT%H:%M:%S.%L%z"), text)
      assert.equal(moment, tide.time.parse(text), text)
    end
  end)
end)

describe("tide.regex.named", function()
  it("tide.regex.named gives the groups with a name that took part", function()
    assert.same({ user = "ann", host = "example.org" }, tide.regex.named("ann@example.org",
      [[(?<user>\w+)@(?<host>[\w.]+)(?<port>:\d+)?]]))
    assert.same({}, tide.regex.named("x", "x"))
    assert.same(all(nil), all(tide.regex.named("x", "(?<a>y)")))
    assert.same({ a = "2" }, tide.regex.named("2", "(?J)(?:(?<a>1)|(?<a>2))"))
  end)
end)
