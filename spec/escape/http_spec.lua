-- SPDX-License-Identifier: MIT
-- Hostile servers, which tide.http asks: whatever they answer, the request has an answer or an error, and the requests
-- beside it, and on the same connection after it, have their own answers.
local socket = require "socket"
local child = require "spec.support.child"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local program = require "spec.support.program"

local OK = "HTTP/1.1 200 OK\r\n"

-- Sends without an end, until the client leaves.
local function flood(connection, piece)
  repeat local sent = connection:send(piece) until not sent
end

-- By the name of the attack: what the server does with a connection whose request it has read, and what the request
-- comes to, a pattern. Requests take 100,000 bytes. seconds: the time of a request that may be ended by that alone;
-- others have far more, so that a busy machine ends none of them.
local SECONDS = 20
local servers = {
  headers_without_end = { function(c)
    c:send(OK)
    flood(c, ("X-%s: %s\r\n"):format(("a"):rep(1000), ("b"):rep(60000)))
  end, "^error ", seconds = 1 },
  a_header_of_megabytes = { function(c) c:send(OK .. "X: " .. ("b"):rep(4 * 2 ^ 20) .. "\r\n\r\n") end, "^error " },
  heads_without_end = { function(c) flood(c, ("HTTP/1.1 100 Continue\r\n\r\n"):rep(1000)) end, "^error ", seconds = 1 },
  a_body_without_end = { function(c)
    c:send(OK .. "\r\n")
    flood(c, ("b"):rep(65536))
  end, "^error a body of more than 100000 bytes" },
  a_body_that_is_too_long = { function(c) c:send(OK .. "Content-Length: 200000\r\n\r\n" .. ("b"):rep(200000)) end,
    "^error a body of more than 100000 bytes" },
  a_length_that_is_not_true = { function(c) c:send(OK .. "Content-Length: 50\r\n\r\nabc") end, "^error " },
  a_length_of_many_digits = { function(c) c:send(OK .. "Content-Length: " .. ("9"):rep(100) .. "\r\n\r\nabc") end,
    "^[e2]" },
  a_length_below_zero = { function(c) c:send(OK .. "Content-Length: -5\r\n\r\nabc") end, "^[e2]" },
  a_chunk_beyond_all_bounds = { function(c)
    c:send(OK .. "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nabc\r\n")
  end, "^error " },
  a_chunk_that_lies = { function(c)
    c:send(OK .. "Transfer-Encoding: chunked\r\n\r\n7FFFFFFFFFFFFFFF\r\nabc\r\n")
  end, "^error " },
  a_status_of_many_digits = { function(c) c:send("HTTP/1.1 " .. ("9"):rep(1000) .. " OK\r\n\r\n") end, "^error " },
  bytes_of_zero = { function(c) c:send(("\0"):rep(2 ^ 20)) end, "^error " },
  no_http = { function(c) c:send "+OK POP3 ready\r\n" end, "^error " },
  a_file_elsewhere = { function(c)
    c:send("HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n")
  end, "^302 0$" },
  another_protocol = { function(c)
    c:send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n" .. ("\0"):rep(1000))
  end, "^[e1]" },
  nothing = { function() end, "^error " },
  silence = { function() socket.sleep(10) end, "^error .*timed out", seconds = 1 },
  one_byte_after_the_other = { function(c)
    repeat
      local sent = c:send "H"
      socket.sleep(0.05)
    until not sent
  end, "^error ", seconds = 1 },
  -- The second answer is for nobody: who asks next on this connection gets an answer of its own.
  two_answers = { function(c)
    c:send((OK .. "Content-Length: 5\r\n\r\nfirst"):rep(2))
    socket.sleep(0.3)
  end, "^200 5$" },
}

local function serve(connection)
  connection:settimeout(5)
  local line = connection:receive "*l"
  local name = line and line:match "^GET /([%w_]+) "
  repeat local more = connection:receive "*l" until not more or more == ""
  if name == "honest" then
    connection:send(OK .. "Content-Length: 12\r\n\r\nhonest words")
  elseif servers[name or ""] then
    servers[name][1](connection)
  end
  connection:close()
end

local PIPELINE = [[
local tide = require "tidemill"
return tide.pipeline "http" { tide.file_source { path = "in" },
  tide.run_task_with_multiprocessing { "ask.lua", processes = 8, max_batch_size = 1 }, tide.file_sink { path = "-" },
  dlq = tide.dlq { path = "letters" }, network = { "127.0.0.1:%d" },
  worker_memory = "64MiB", message_timeout = "1min" }]]

local ASK = [[
local tide = require "tidemill"
local seconds = { %s }
local function ask(name)
  local answer, problem = tide.http.request { url = "http://127.0.0.1:%d/" .. name, most = 100000,
    timeout = seconds[name] or %d }
  if not answer then return "error " .. problem end
  return ("%%d %%d"):format(answer.status, #answer.body)
end
return function(message)
  return ("%%s: %%s; %%s"):format(message.value, (ask(message.value):gsub("%%c", " ")), ask "honest")
end]]

describe("a hostile server", function()
  local out, letters

  setup(function()
    local listener = assert(socket.bind("127.0.0.1", 0, 100))
    local _, port = listener:getsockname()
    for _ = 1, 16 do -- each of them serves one connection at a time
      child.start(function()
        while true do serve(listener:accept()) end
      end)
    end
    listener:close()
    local names, seconds = {}, {}
    for name, server in pairs(servers) do
      names[#names + 1] = name
      if server.seconds then seconds[#seconds + 1] = ("%s = %d"):format(name, server.seconds) end
    end
    local path, folder = pipeline_file.write(PIPELINE:format(port), {
      ["ask.lua"] = ASK:format(table.concat(seconds, ", "), port, SECONDS), ["in"] = table.concat(names, "\n") .. "\n",
    })
    local code, err
    code, out, err = process.run({ program.path, "run", path, "--log-level", "warn" }, { cwd = folder })
    assert.equal(0, code, err)
    local file = io.open(folder .. "/letters", "rb")
    letters = file and file:read "*a" or ""
    if file then file:close() end
  end)

  teardown(function()
    child.stop_all()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  for name, server in pairs(servers) do
    it("a hostile server harms no other request by " .. name:gsub("_", " "), function()
      local asked, honest = ("\n" .. out):match("\n" .. name .. ": ([^\n]*); ([^\n;]*)")
      assert.matches(server[2], asked or letters)
      assert.equal("200 12", honest)
    end)
  end
end)
