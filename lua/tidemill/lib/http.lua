-- SPDX-License-Identifier: MIT
-- lib/http.lua: tide.http, requests by libcurl (HTTP/1.1, with and without TLS). A process keeps its connections open.
--   request(url or options) -> { status =, headers = { name in small letters = value }, body = }; nil and the reason
--   all(list[, { concurrency = 16 }]) -> for each the same table, or { error = reason }, in the order of the list
-- options: url, method ("GET", "POST" with a body), headers { name = value }, body, timeout (10 seconds, for all of
-- it), connect_timeout (5), most (the bytes of the answer's body, 16 MiB), ca (a file of certificates). A status is not
-- judged, and no redirection is followed. Connections need `network` in the pipeline; under trust = "hardened" there is
-- no tide.http.
local ffi = require("ffi")
local arguments = require("tidemill.lib.arguments")
local curl = require("tidemill.lib.curl")
local url = require("tidemill.lib.url")
local C = require("tidemill.run.ffi").C

local http = {}

local L, set = curl.C, curl.set
local OPTIONS = { url = true, method = true, headers = true, body = true, timeout = true, connect_timeout = true,
  most = true, ca = true }
local ALL_OPTIONS = { concurrency = true }
local TIMEOUT, CONNECT_TIMEOUT, LONGEST, MOST, CONCURRENCY = 10, 5, 3600, 16 * 2 ^ 20, 16
local KNOWN_FOR = 60e6 -- us that the addresses of a name are kept
local WAIT = 1000 -- ms, the longest wait in one call
local PORTS = { http = 80, https = 443 }
-- Of libcurl: no known authority has signed the certificate, or the file of these cannot be read.
local NOT_VERIFIED = { [60] = true, [77] = true }

local function fail(level, text, ...)
  error("tide.http: " .. text:format(...), level + 1)
end

local function seconds(options, name, default, level)
  local value = options[name]
  if value == nil then return default end
  if type(value) ~= "number" or not (value > 0 and value <= LONGEST) then
    fail(level + 1, "%s takes seconds up to %d, got %s", name, LONGEST, arguments.shown(value))
  end
  return value
end

local function is_line(text)
  return type(text) == "string" and not text:find("[%z\r\n]")
end

local function check_headers(headers, level)
  if headers == nil then return end
  if type(headers) ~= "table" then fail(level + 1, "headers takes a table, got %s", arguments.shown(headers)) end
  for name, value in pairs(headers) do
    if not is_line(name) or not name:find("^[%w!#$%%&'*+.^_`|~-]+$") then
      fail(level + 1, "%s is no name of a header", arguments.shown(name))
    end
    if not is_line(value) then fail(level + 1, "the header %s takes a text of one line", name) end
  end
end

-- A request with its defaults, from what the script gave. Raises in the line that is `level` frames up.
local function checked(options, level)
  if type(options) == "string" then options = { url = options } end
  arguments.options(options, "tide.http", OPTIONS, level + 1)
  if not is_line(options.url) then fail(level, "url takes a text, got %s", arguments.shown(options.url)) end
  local parts, problem = url.parse(options.url)
  if not parts then fail(level, "%s is no URL: %s", arguments.shown(options.url), problem) end
  if not PORTS[parts.scheme] or not parts.host or parts.host == "" then
    fail(level, "url takes http://host... or https://host..., got %s", arguments.shown(options.url))
  end
  if options.body ~= nil and type(options.body) ~= "string" then fail(level, "body takes a text") end
  local method = options.method or options.body and "POST" or "GET"
  if type(method) ~= "string" or not method:find("^%u+$") then
    fail(level, "method takes a word as GET, got %s", arguments.shown(method))
  end
  if options.ca ~= nil and not is_line(options.ca) then fail(level, "ca takes a path") end
  if options.most ~= nil and not (type(options.most) == "number" and options.most >= 0) then
    fail(level, "most takes a number of bytes, got %s", arguments.shown(options.most))
  end
  check_headers(options.headers, level)
  return { url = options.url, host = parts.host, port = parts.port or PORTS[parts.scheme], method = method,
    body = options.body, headers = options.headers or {}, ca = options.ca,
    most = options.most or MOST, timeout = seconds(options, "timeout", TIMEOUT, level),
    connect_timeout = seconds(options, "connect_timeout", CONNECT_TIMEOUT, level) }
end

local known = {} -- by name: { addresses, until }

local function addresses_of(host)
  if host:find("^%[") or host:find("^[%d.]+$") then return nil end
  local found = known[host]
  if found and found[2] > C.tide_clock_us() then return found[1] end
  local addresses, problem = curl.look_up(host)
  if not addresses then return nil, problem end
  known[host] = { addresses, C.tide_clock_us() + KNOWN_FOR }
  return addresses
end

local idle = {} -- easy handles

local function list_of(headers)
  local list = nil
  for name, value in pairs(headers) do
    list = L.curl_slist_append(list, value == "" and name .. ";" or name .. ": " .. value)
  end
  if not headers.Expect and not headers.expect then list = L.curl_slist_append(list, "Expect:") end
  return list
end

-- Gives a request its handle. False and the reason when its host has no address.
local function prepare(request)
  local addresses, problem = addresses_of(request.host)
  if problem then return false, ("%s: %s"):format(request.host, problem) end
  local easy = table.remove(idle) or L.curl_easy_init()
  L.curl_easy_reset(easy)
  request.easy, request.to, request.head = easy, curl.stream(), curl.stream()
  request.list, request.problem = list_of(request.headers), ffi.new("char[256]")
  if addresses then
    request.resolve = L.curl_slist_append(nil, ("%s:%d:%s"):format(request.host, request.port, addresses))
    set(easy, "RESOLVE", request.resolve)
  end
  set(easy, "URL", request.url)
  set(easy, "WRITEDATA", request.to.file)
  set(easy, "HEADERDATA", request.head.file)
  set(easy, "ERRORBUFFER", request.problem)
  set(easy, "HTTPHEADER", request.list)
  set(easy, "HTTP_VERSION", curl.HTTP_1_1)
  set(easy, "NOSIGNAL", 1)
  set(easy, "NOPROXY", "*")
  if set(easy, "PROTOCOLS_STR", "http,https") ~= 0 then set(easy, "PROTOCOLS", curl.HTTP_AND_HTTPS) end
  set(easy, "TIMEOUT_MS", math.ceil(request.timeout * 1000))
  set(easy, "CONNECTTIMEOUT_MS", math.ceil(request.connect_timeout * 1000))
  local ca = request.ca or curl.authorities()
  if ca then set(easy, "CAINFO", ca) end
  if request.body then
    set(easy, "POST", 1)
    set(easy, "POSTFIELDSIZE_LARGE", #request.body)
    set(easy, "POSTFIELDS", request.body) -- is not copied: the request holds it
  end
  if request.method == "HEAD" then set(easy, "NOBODY", 1) end
  set(easy, "CUSTOMREQUEST", request.method)
  return true
end

-- The fields of the last head: before it there may be one with the status 100.
local function headers_of(text)
  local headers = {}
  for line in text:gmatch("([^\r\n]*)\r?\n") do
    if line:find("^HTTP/") then headers = {} end
    local name, value = line:match("^([^:%s]+):%s*(.-)%s*$")
    if name then
      name = name:lower()
      headers[name] = headers[name] and headers[name] .. ", " .. value or value
    end
  end
  return headers
end

-- What came of a request: `code` is libcurl's, `problem` stands for it.
local function finish(request, code, problem)
  L.curl_multi_remove_handle(curl.multi(), request.easy)
  local body, head = curl.take(request.to), curl.take(request.head)
  if code ~= 0 and not problem then
    problem = ffi.string(request.problem)
    if problem == "" then problem = ffi.string(L.curl_easy_strerror(code)) end
    if NOT_VERIFIED[tonumber(code)] and not request.ca and not curl.authorities() then
      problem = problem .. ": this system has no certificates of authorities; install the Debian package "
        .. "ca-certificates, or name a file with `ca`"
    elseif curl.is_forbidden(request.easy) then
      problem = ('%s: it is forbidden; the pipeline opens it by network = "%s:%d"'):format(problem, request.host,
        request.port)
    end
  end
  if not problem and #body > request.most then problem = ("a body of more than %.0f bytes"):format(request.most) end
  local answer = problem and { error = problem }
    or { status = curl.status_of(request.easy), headers = headers_of(head), body = body }
  L.curl_easy_reset(request.easy)
  if request.list ~= nil then L.curl_slist_free_all(request.list) end
  if request.resolve ~= nil then L.curl_slist_free_all(request.resolve) end
  idle[#idle + 1] = request.easy
  return answer
end

local function address_of(easy)
  return tonumber(ffi.cast("intptr_t", easy))
end

-- Runs requests, `concurrency` at a time; the answers in their order.
local function run(requests, concurrency)
  local multi, answers, active, count, next_one = curl.multi(), {}, {}, 0, 1
  local running, left = ffi.new("int[1]"), ffi.new("int[1]")
  local function complete(easy, code, problem)
    local index = active[address_of(easy)]
    active[address_of(easy)], count = nil, count - 1
    answers[index] = finish(requests[index], code, problem)
  end
  while next_one <= #requests or count > 0 do
    while next_one <= #requests and count < concurrency do
      local ready, problem = prepare(requests[next_one])
      if ready then
        active[address_of(requests[next_one].easy)], count = next_one, count + 1
        L.curl_multi_add_handle(multi, requests[next_one].easy)
      else
        answers[next_one] = { error = problem }
      end
      next_one = next_one + 1
    end
    L.curl_multi_perform(multi, running)
    local done = L.curl_multi_info_read(multi, left)
    while done ~= nil do
      complete(done.easy, done.data.result)
      done = L.curl_multi_info_read(multi, left)
    end
    for _, index in pairs(active) do
      local request = requests[index]
      if curl.size_of(request.easy) > request.most then
        complete(request.easy, -1, ("a body of more than %.0f bytes"):format(request.most))
        break
      end
    end
    if count > 0 then L.curl_multi_poll(multi, nil, 0, WAIT, nil) end
  end
  return answers
end

function http.request(options)
  local answer = run({ checked(options, 3) }, 1)[1]
  if answer.error then return nil, answer.error end
  return answer
end

function http.all(list, options)
  if type(list) ~= "table" then fail(2, "all takes a list of requests, got %s", arguments.shown(list)) end
  local concurrency = CONCURRENCY
  if options ~= nil then
    arguments.options(options, "tide.http.all", ALL_OPTIONS, 3)
    if options.concurrency ~= nil then
      concurrency = arguments.integer(options.concurrency, "tide.http.all: concurrency", 1, 1000)
    end
  end
  local requests = {}
  for i = 1, #list do requests[i] = checked(list[i], 3) end
  return run(requests, concurrency)
end

return http
