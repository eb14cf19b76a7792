-- SPDX-License-Identifier: MIT
-- Writes N JSON events of about 270 bytes, one a line: luajit make_events.lua N [SEED [KEYS]]. Same seed, same bytes.
-- With KEYS there are so many users, and each line begins with its user and a tab: the key for `kafka_tool ... fill`.
-- One in ten has level "debug", their number goes to stderr; trace is an integer that a double cannot hold.
local count = tonumber(arg[1])
if not count then
  io.stderr:write("usage: luajit make_events.lua N [SEED [KEYS]]\n")
  os.exit(64)
end
math.randomseed(tonumber(arg[2]) or 1)
io.stdout:setvbuf("full", 1024 * 1024)

local random, keys = math.random, tonumber(arg[3])
local levels = { "info", "info", "info", "info", "warn", "info", "error", "info", "info" }
local regions = { "eu-west-1", "eu-north-1", "us-east-2", "ap-south-1" }
local words = {
  "order", "accepted", "by", "the", "gateway", "after", "retry", "with", "cached", "token", "and", "path",
}

local function text()
  local chosen = {}
  for i = 1, 11 do
    chosen[i] = words[random(#words)]
  end
  return table.concat(chosen, " ")
end

local EVENT = '{"id":%d,"ts":"2026-01-%02dT%02d:%02d:%02d.%03dZ","level":"%s","value":%d.%d,"user":"user-%06d",'
  .. '"tags":{"host":"web-%03d","region":"%s"},"text":"%s","trace":1%09d%09d,"retries":%d,"ok":%s}\n'

local debugs = 0
for id = 1, count do
  local level = random(10) == 1 and "debug" or levels[random(#levels)]
  if level == "debug" then debugs = debugs + 1 end
  local line = EVENT:format(id, random(28), random(24) - 1, random(60) - 1, random(60) - 1, random(1000) - 1, level,
    random(10000), random(9), random(keys or 500000), random(400), regions[random(#regions)], text(),
    random(999999999), random(999999999), random(5) - 1, random(2) == 1 and "true" or "false")
  if keys then io.write(line:match '"user":"([^"]*)"', "\t") end
  io.write(line)
end
io.stderr:write(("%d events, %d of them debug\n"):format(count, debugs))
