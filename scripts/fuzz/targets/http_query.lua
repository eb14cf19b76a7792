-- SPDX-License-Identifier: MIT
-- The query of a live request (metrics/server.lua), and what /tap and /profile make of it: it is refused with a
-- text, or asks for something that the engine can do. A condition that is taken is one of struct tide_tap_condition.
-- And the other side: what any server answers to a client of ours (cli/http_client.lua) is a document, or a reason
-- with an exit code. Input: the query, or the answer.
local socket = require("socket")
local http_client = require("tidemill.cli.http_client")
local tap_of_run = require("tidemill.metrics.tap")
local profile_request = require("tidemill.metrics.profile_request")
local profiling = require("tidemill.metrics.profiling")
local server = require("tidemill.metrics.server")
local tap_match = require("tidemill.metrics.tap_match")
local taps = require("tidemill.run.tap")

local FIELDS = { key = true, header = true, value = true, topic = true, partition = true, offset = true, fate = true }

local function is_whole(number, least, most)
  return type(number) == "number" and number % 1 == 0 and number >= least and number <= most
end

local function check_condition(condition)
  assert(FIELDS[condition.field], "no such field")
  if condition.text then
    assert(type(condition.text) == "string" and (not condition.contains or condition.text ~= ""))
    assert((condition.name ~= nil) == (condition.field == "header"), "a name where there is none")
  else
    assert(is_whole(condition.least, 0, 2 ^ 53) and is_whole(condition.most, condition.least, 2 ^ 53), "no range")
  end
end

local asked -- what the request came to

function taps.arm(_, options)
  assert(is_whole(options.step, 0, 1000) and is_whole(options.rate, 1, tap_of_run.MOST_RATE), "no such tap")
  assert(#options.conditions <= taps.MOST_CONDITIONS, "too many conditions")
  for _, condition in ipairs(options.conditions) do check_condition(condition) end
  asked = "tap"
  return nil, "there is no engine"
end

function profiling.new(_, pool, index, seconds)
  assert(pool == 0 and is_whole(index, 0, 1) and seconds >= 0.1 and seconds <= 300, "no such profile")
  asked = "profile"
  return { turn = function() return "" end, forget = function() end }
end

local handlers = {}
local observer = { engine = {}, settings = { tap = true }, server = true, plan = { tables = { pools = { 2 }, steps = {
  { kind = "TIDE_STEP_TASK", pool = 0, stage = "task" } } } } }
function observer.live(_, path, handler) handlers[path] = handler end
tap_of_run.new(observer)
local profiles = profile_request.new(observer)

local function check_text(text)
  assert(type(text) == "string" and text ~= "" and not text:find("[\r\n\t]."), "a text of several lines")
end

local function ask(path, query)
  local request = { query = query }
  asked = nil
  function request.refuse(_, code, text)
    assert(code == 400 or code == 403 or code == 409)
    assert(type(text) == "string" and text ~= "")
    asked = asked or "refused"
  end
  function request.write(_, text)
    if text ~= "" then check_text((text:gsub("\t", " "))) end
    asked = asked or "answered"
    return "taken"
  end
  function request.finish() end
  handlers[path](request)
  assert(asked, "no answer")
  profiles.open = {}
end

-- ---- a client of ours, and a server that answers with these bytes ----

local bytes, at

local connection = { settimeout = function() return 1 end, connect = function() return 1 end,
  close = function() return 1 end }
function connection.send(_, text, from, to) return to or #text, from and nil end
function connection.receive(_, size)
  local part = bytes:sub(at, at + size - 1)
  at = at + #part
  if #part < size then return nil, "closed", part end
  return part
end

function socket.tcp() return connection end -- luacheck: ignore 122

local function check_client(done, reason, code)
  assert(done or type(reason) == "string" and reason ~= "" and not reason:find("%c"), "a reason for a terminal")
  assert(done or code == 64 or code == 65 or code == 69, "no exit code")
end

local function answer(text)
  bytes, at = text, 1
  check_client(http_client.get("127.0.0.1:1", "/status"))
  bytes, at = text, 1
  check_client(http_client.status("127.0.0.1:1"))
  bytes, at = text, 1
  check_client(http_client.lines("127.0.0.1:1", "/tap", function(line)
    assert(not line:find("\n", 1, true))
  end))
  check_client(http_client.address(text))
end

return function(text)
  answer(text)
  local query = server.query(text)
  for name, value in pairs(query) do
    assert(type(name) == "string" and type(value) == "string" and #name + #value <= #text, "a query grows")
  end
  ask("/tap", query)
  ask("/profile", query)
  local condition, reason = tap_match.parse(text)
  assert(condition or type(reason) == "string", "refused without a reason")
  if condition then check_condition(condition) end
end
