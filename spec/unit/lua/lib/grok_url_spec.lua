-- SPDX-License-Identifier: MIT
-- tide.grok and tide.url: lines and URLs as they come, the examples of RFC 3986, and what is refused.
local refusals = require "spec.support.refusals"
local seed = require "spec.support.seed"
local tide = require "tidemill"
local refused = refusals.refused

seed.draw()

describe("tide.grok", function()
  local match = tide.grok.match

  it("tide.grok takes an access log apart, and keeps numbers exactly", function()
    local line = '10.0.0.7 - ann [10/Oct/2000:13:55:36 -0700] "GET /a?b=1 HTTP/1.0" 200 2326 '
      .. '"http://example.org/" "curl \\"7\\""'
    assert.same({ clientip = "10.0.0.7", ident = "-", auth = "ann", timestamp = "10/Oct/2000:13:55:36 -0700",
      verb = "GET", request = "/a?b=1", httpversion = "1.0", response = "200", bytes = "2326",
      referrer = '"http://example.org/"', agent = '"curl \\"7\\""' }, match(line, "^%{COMBINEDAPACHELOG}$"))
    assert.same({ bytes = 2326 }, match(line, [["\s%{INT}\s%{INT:bytes:int}\s]]))
    assert.same({ id = 9223372036854775807LL }, match("9223372036854775807", "%{INT:id:int}"))
    assert.same({ x = -1.5 }, match("x=-1.5", "x=%{NUMBER:x:float}"))
    refused("is no number that can be kept", match("99999999999999999999", "%{INT:id:int}"))
  end)

  it("tide.grok has its patterns listed in docs/library.md, and no others", function()
    local file = assert(io.open "docs/library.md")
    local listed, all = file:read("*a"):match "Patterns of grok[^:]*: ([%u%d_,%s]+)%.", {}
    file:close()
    for name in pairs(require "tidemill.lib.grok_patterns") do all[#all + 1] = name end
    table.sort(all)
    assert.equal(table.concat(all, ", "), (listed:gsub("%s+", " ")))
  end)

  it("tide.grok finds what its patterns say, and nothing else", function()
    local there = { IPV4 = "192.168.0.255", IPV6 = "2001:db8::ff00:42:8329",
      UUID = "123e4567-e89b-12d3-a456-426614174000",
      MAC = "01:23:45:67:89:ab", HTTPDATE = "10/Oct/2000:13:55:36 -0700",
      TIMESTAMP_ISO8601 = "2026-01-31T12:00:00.5+01:00",
      LOGLEVEL = "WARN", URI = "https://ann@example.org:8080/a/b?c=d", QS = '"a \\" b"', UNIXPATH = "/var/log/x.log",
      HOSTPORT = "example.org:80", EMAILADDRESS = "ann.b@example.org", SYSLOGTIMESTAMP = "Feb  5 17:32:18" }
    for name, text in pairs(there) do
      assert.same({ x = text }, match(text, "^%{" .. name .. ":x}$"), name)
    end
    local absent = { IPV4 = "256.1.1.1", IPV6 = "1:2:3", UUID = "123e4567", MAC = "01:23", POSINT = "0", MONTH = "Foo" }
    for name, text in pairs(absent) do assert.is_nil(match(text, "^%{" .. name .. "}$"), name) end
  end)

  it("tide.grok takes definitions of the script, and names what is wrong with them", function()
    assert.same({ ["user.id"] = "u17", role = "admin" },
      match("u17/admin", "%{ID:user.id}/(?<role>\\w+)", { ID = "u\\d+" }))
    for reason, call in pairs {
      ["no pattern %{NONE:a}"] = function() match("x", "%{NONE:a}") end,
      ["%{A} is defined by itself"] = function() match("x", "%{A}", { A = "%{B}", B = "%{A}" }) end,
      ["a field is int, float or string"] = function() match("x", "%{INT:a:number}") end,
      ["missing closing parenthesis"] = function() match("x", "(") end,
    } do
      local ok, problem = pcall(call)
      assert.is_false(ok)
      assert.is_truthy(problem:find(reason, 1, true), problem)
    end
  end)
end)

describe("tide.url", function()
  local url = tide.url

  it("tide.url takes the examples of RFC 3986 apart, and builds them again", function()
    assert.same({ scheme = "foo", host = "example.com", port = 8042, path = "/over/there", query = "name=ferret",
      fragment = "nose" }, url.parse "foo://example.com:8042/over/there?name=ferret#nose")
    for _, text in ipairs { "ftp://ftp.is.co.za/rfc/rfc1808.txt", "http://www.ietf.org/rfc/rfc2396.txt",
      "ldap://[2001:db8::7]/c=GB?objectClass?one", "mailto:John.Doe@example.com",
      "news:comp.infosystems.www.servers.unix",
      "tel:+1-816-555-1212", "telnet://192.0.2.16:80/", "urn:oasis:names:specification:docbook:dtd:xml:4.1.2",
      "//g", "/a/b?c#d", "?y", "#s", "", "http://ann:pw@h/%7Ea", "file:///etc/fstab" } do
      assert.equal(text, url.build(assert(url.parse(text))), text)
    end
    local parts = url.parse "HTTP://Example.ORG/A"
    assert.same({ "http", "example.org", "/A" }, { parts.scheme, parts.host, parts.path })
  end)

  it("tide.url refuses what is no URL, and what would be read as something else", function()
    refused("which has to be written as %20", url.parse "http://h/a b")
    refused("% without two hexadecimal digits", url.parse "http://h/%zz")
    refused("the port is beyond 65535", url.parse "http://h:65536/")
    refused("no address of IPv6", url.parse "http://[x]/")
    refused("no scheme before :", url.parse "1a:b")
    for _, parts in ipairs { { host = "h", path = "a" }, { path = "//a" }, { path = "a:b" }, { user = "x" },
      { port = 1 },
      { host = "a b" }, { scheme = "1" }, { hots = "x" } } do
      assert.has_error(function() url.build(parts) end)
    end
  end)

  it("tide.url reads and builds queries and percent signs, whatever the bytes are", function()
    assert.same({ a = { "1", "2" }, b = "x y", c = "", ["\228"] = "=" }, url.query "a=1&b=x+y&c&a=2&%E4=%3D")
    refused("% without two hexadecimal digits", url.query "a=%")
    refused("at byte 1", url.unescape "a%x")
    for _ = 1, 500 do
      local bytes, values = {}, {}
      for i = 1, math.random(0, 8) do bytes[i] = string.char(math.random(0, 255)) end
      local text = table.concat(bytes)
      assert.equal(text, url.unescape(url.escape(text)))
      for i = 1, math.random(1, 3) do values["k" .. i .. text] = text end
      assert.same(values, url.query(url.build_query(values)))
    end
  end)
end)
