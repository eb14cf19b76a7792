-- SPDX-License-Identifier: MIT
-- cli/dlq/filter.lua: chooses dead letters by the flags of a command.
local time = require("tidemill.lib.time")

local filter = {}

local function range(text)
  local first, last = text:match("^(%d*)%-(%d*)$")
  if text:find("^%d+$") then first, last = text, text end
  if not first or (first == "" and last == "") then
    return nil, ('--offset %s: must be N, FROM-TO, FROM- or -TO'):format(text)
  end
  local chosen = { first = tonumber(first) or 0, last = tonumber(last) or math.huge }
  if chosen.first > chosen.last then return nil, ("--offset %s: FROM is above TO, so nothing matches"):format(text) end
  return chosen
end

local function moment(flag)
  return function(text)
    local ms = text:find("^%d+$") and tonumber(text) or time.parse(text, "ms")
    if not ms then
      return nil, ('%s %s: must be a moment as "2026-01-31T12:00:00Z", or milliseconds since 1970'):format(flag, text)
    end
    return tonumber(ms)
  end
end

-- `most` is optional.
local function whole_number(flag, least, most)
  return function(text)
    local number = text:find("^%d+$") and tonumber(text)
    if number and number >= least and number <= (most or number) then return number end
    return nil, ("%s %s: must be a whole number from %d %s"):format(flag, text, least, most and "to " .. most or "on")
  end
end
filter.whole_number = whole_number

local function parse_id(text)
  local partition, offset = text:match("^(%d+)/(%d+)$")
  if not partition then return nil, ('dead letter "%s": must be PARTITION/OFFSET, as list shows it'):format(text) end
  return { partition = tonumber(partition), offset = tonumber(offset) }
end

--- Adds the arguments and flags.
function filter.define(command)
  command:argument("letters"):args("*"):argname("LETTER"):convert(parse_id)
    :description("Dead letters by their position, as 0/17: partition and offset in the dlq's topic, or 0 and the "
      .. "line of a file, from 0. Without any, the flags choose among all.")
  command:option("--reason"):argname("REASON"):description("The reason: error, rejected, crash, timeout, too_large, "
    .. "refused, ...")
  command:option("--stage"):argname("STEP"):description("The step that failed, as produce or "
    .. "run_task_with_multiprocessing.")
  command:option("--topic"):argname("NAME"):description("The original topic.")
  command:option("--partition"):argname("N"):convert(whole_number("--partition", 0))
    :description("The original partition.")
  command:option("--offset"):argname("FROM-TO"):convert(range):description("Original offsets: N, FROM-TO, FROM-, -TO.")
  command:option("--since"):argname("TIME"):convert(moment("--since"))
    :description("Original timestamps from then on, as 2026-01-31T12:00:00Z or in ms.")
  command:option("--until"):argname("TIME"):target("before"):convert(moment("--until"))
    :description("Original timestamps before then.")
  command:option("--match"):argname("TEXT"):description("Only errors that contain this text.")
  command:option("--limit"):argname("N"):convert(whole_number("--limit", 1)):description("Only the first N of them.")
  command:flag("--all"):description("Also dead letters that were replayed or dropped before.")
end

--- Returns a function of a dead letter: whether the flags choose it (but for --limit and --all, which need all of
--- them).
function filter.new(parsed)
  local wanted
  for _, id in ipairs(parsed.letters or {}) do
    wanted = wanted or {}
    wanted[id.partition .. "/" .. id.offset] = true
  end
  return function(letter)
    local stamp, offset = letter.original_timestamp or -1, letter.original_offset or -1
    return (not wanted or wanted[letter.partition .. "/" .. letter.offset] == true)
      and (not parsed.reason or letter.reason == parsed.reason)
      and (not parsed.stage or letter.stage == parsed.stage)
      and (not parsed.topic or letter.original_topic == parsed.topic)
      and (not parsed.partition or letter.original_partition == parsed.partition)
      and (not parsed.offset or (offset >= parsed.offset.first and offset <= parsed.offset.last))
      and (not parsed.since or stamp >= parsed.since)
      and (not parsed.before or (stamp >= 0 and stamp < parsed.before))
      and (not parsed.match or (letter.error or ""):find(parsed.match, 1, true) ~= nil)
  end
end

return filter
