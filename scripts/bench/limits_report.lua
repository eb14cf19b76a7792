-- SPDX-License-Identifier: MIT
-- The section "What limits" of docs/bench.md: a function that makes its text of the figures of
-- scripts/bench/limits.lua. Each claim is computed, none is a constant.
local figures = require "scripts.bench.figures"

local grouped = figures.grouped

local WIDTH = 118

-- Fills the lines of paragraphs and list items anew; tables, headings and empty lines stay.
local function wrapped(text)
  local lines, at = {}, nil
  for line in (text .. "\n"):gmatch "(.-)\n" do
    local kept = line == "" or line:find "^[|#]"
    if kept or line:find "^%- " or not at then
      lines[#lines + 1], at = line, not kept and #lines + 1 or nil
    else
      lines[at] = lines[at] .. " " .. line:match "^%s*(.*)"
    end
  end
  for i, line in ipairs(lines) do
    local indent, done = line:find "^%- " and "  " or "", ""
    while #line > WIDTH and not line:find "^|" do
      local first = line:sub(1, WIDTH):match "^.* "
      done, line = done .. first:sub(1, -2) .. "\n", indent .. line:sub(#first + 1)
    end
    lines[i] = done .. line
  end
  return (table.concat(lines, "\n"):gsub("\n+$", "\n"))
end

local function by_name(results)
  local names = {}
  for _, one in ipairs(results) do names[one.name] = one end
  return names
end

local function parts_table(results)
  local lines = { "| | messages/s | main thread | librdkafka's threads | workers | all |", "|---|---|---|---|---|---|" }
  for _, one in ipairs(results) do
    local parts, split = one.parts, "| |"
    if not one.peer then split = ("%.2f | %.2f | %.2f"):format(parts.engine, parts.librdkafka, parts.worker) end
    lines[#lines + 1] = ("| %s | %s | %s | %.2f |"):format(one.title, grouped(one.rate.median), split,
      one.cpu_us.median)
  end
  return table.concat(lines, "\n")
end

local PARTS = [[
### Where the processor time goes

Microseconds of processor time a message, by thread, medians of %d rounds in turn; %s messages.

%s

- **The engine's thread** takes %.2f us a message more than the main thread of the bare loop does for the same
  messages (identity; the aim was 0.35 at most). With the JSON view job it is %.2f.
- **JSON view job, throughput against the bare loop** (the aim: 0.90): %.2f.
- **JSON view job, processor time against the bare loop** (the aim: 1.3): the job itself takes %.2f us in the
  worker's loop, without a hop, a block or a second process. A bare loop that did that with each message would be
  at %s, so no program with this job on this librdkafka is below that; tidemill is at
  %.2f. Of the %.2f us between the two, %.2f are the engine's thread and %.2f what a worker takes besides the job;
  librdkafka's threads have larger batches and less to do.
]]

local function parts_section(limits)
  local at = by_name(limits.results)
  local bare, drop, identity, view = at.bare, at["bare-drop"], at["identity-1"], at["view-2"]
  local job = (limits.json.view_ns - limits.json.identity_ns) / 1e3
  local bound = drop.cpu_us.median + job
  return PARTS:format(limits.rounds, grouped(limits.messages.full), parts_table(limits.results),
    identity.parts.engine - bare.parts.engine, view.parts.engine - drop.parts.engine,
    figures.ratio(view.rate.rounds, drop.rate.rounds), job,
    ("(%.2f + %.2f) / %.2f = %.2f"):format(drop.cpu_us.median, job, drop.cpu_us.median, bound / drop.cpu_us.median),
    view.cpu_us.median / drop.cpu_us.median, view.cpu_us.median - bound,
    view.parts.engine - drop.parts.engine, view.parts.worker - job)
end

local ONCE = [[
### Exactly once

A transaction every 200 ms. "Waits for acknowledgements": from the decision to commit until all that was sent is
acknowledged; "offsets and end": the requests that put the offsets into the transaction and end it. Nothing may be
sent meanwhile.

| | messages/s | of at least once | CPU us/message | transactions | waits, ms | offsets and end, ms | of the time |
|---|---|---|---|---|---|---|---|
%s

The first line is what Kafka's protocol takes from a program that does nothing else: %.2f of its at-least-once
throughput. tidemill keeps %.2f of its own, since it reads and runs functions while a transaction ends. The aim was
0.92.
]]

local function once_section(limits)
  local at, lines = by_name(limits.results), {}
  for _, name in ipairs { "bare-once", "once-1" } do
    local one = at[name]
    local t = one.transactions
    lines[#lines + 1] = ("| %s | %s | %.3f | %.2f | %.0f | %.1f | %.1f | %.1f %% |"):format(one.title,
      grouped(one.rate.median), one.of_at_least_once, one.cpu_us.median, t.count, t.flush_ms, t.ended_ms, t.held * 100)
  end
  return ONCE:format(table.concat(lines, "\n"), at["bare-once"].of_at_least_once, at["once-1"].of_at_least_once)
end

local VIEW = [[
### The JSON view job in the worker

%.0f bytes a document, ns of processor time a message:

| phase | ns |
|---|---|
%s
| all of it | %.0f |

lua-cjson takes %.0f ns for the same job, %.1f times as much (the aim was 15 times, and 300 ns). Indexing and checking
look at each byte of the document, whatever the job is: %.1f GB/s here.
]]

local function view_section(json)
  local lines, index = {}, nil
  for i, row in ipairs(json.view) do
    lines[i] = ("| %s | %.0f |"):format(row.title, row.ns)
    if row.title:find "^indexed" then index = row.ns end
  end
  return VIEW:format(json.bytes, table.concat(lines, "\n"), json.view_ns, json.cjson_ns, json.cjson_ns / json.view_ns,
    json.bytes / index)
end

local TABLES = [[
### Plain tables

ns a document. "Made": what Lua takes to make the same tables and strings by its C functions, when all lengths,
numbers and names are known beforehand (`scripts/bench/floor.c`). "Walked": to go through them with `lua_next`, to
copy the bytes of names and strings, and to make one string of them. Both are without any JSON: whoever decodes or
encodes by the functions of lua.h takes as much at least. "Times" is against lua-cjson, "at most" what it would be
at that least. The aim was three times.

| document | bytes | decode | lua-cjson | times | made | at most | encode | lua-cjson | times | walked | at most |
|---|---|---|---|---|---|---|---|---|---|---|---|
%s

A decoder must also look at the text: with the %.0f ns that indexing and checking take here, the event of the job
would be decoded %.2f times as fast as by lua-cjson if all else took no time.
%s]]

local DIFFERENT = [[

The events above are 1,000 that come again and again, so Lua has their strings already. Those of a topic are all
different, and each of their strings is new memory that has to be found garbage and swept. With %s different events
the whole job with plain tables takes %s ns a message, with lua-cjson %s, with a view %s; of the first, %s are
what Lua takes to make the tables of the input.
]]

local function tables_section(json)
  local lines, index = {}, nil
  for _, row in ipairs(json.view) do
    if row.title:find "^indexed" then index = row.ns end
  end
  for i, one in ipairs(json.documents) do
    lines[i] = ("| %s | %.0f | %.0f | %.0f | %.2f | %.0f | %.1f | %.0f | %.0f | %.2f | %.0f | %.1f |"):format(one.name,
      one.bytes, one.decode, one.decode_cjson, one.decode_cjson / one.decode, one.made, one.decode_cjson / one.made,
      one.encode, one.encode_cjson, one.encode_cjson / one.encode, one.walked, one.encode_cjson / one.walked)
  end
  local first = json.documents[1]
  local different, text = json.different, ""
  if different then
    text = DIFFERENT:format(grouped(different.count), grouped(different.tables), grouped(different.cjson),
      grouped(different.view), grouped(different.made))
  end
  return TABLES:format(table.concat(lines, "\n"), index, first.decode_cjson / (first.made + index), text)
end

local PEERS = [[
### Against peers

In the rounds above, each peer at the setting that was its best in "Throughput":

%s
]]

local function ratio(one, other, what)
  return figures.ratio(one[what].rounds, other[what].rounds)
end

local ARROYO = [[
- **Arroyo** (the aim: 50 times its throughput at 1/80 of its processor time): tidemill's JSON view job has %.1f times,
  at 1/%.0f. Arroyo does %s messages/s at %.1f us a message. 50 times that is %s/s; the bare loop, which does nothing
  with a message but leave some out, does %s/s. 1/80 is %.2f us; the bare loop takes %.2f.]]

local function arroyo_line(arroyo, bare, view)
  return ARROYO:format(ratio(view, arroyo, "rate"), ratio(arroyo, view, "cpu_us"), grouped(arroyo.rate.median),
    arroyo.cpu_us.median, grouped(arroyo.rate.median * 50), grouped(bare.rate.median), arroyo.cpu_us.median / 80,
    bare.cpu_us.median)
end

local STREAMS = [[
- **Kafka Streams** (the aim: 3.5 times its throughput at 1/5 of its processor time): tidemill's JSON view job has
  %.2f times, at 1/%.2f. It takes %.2f us a message, of which 1/5 is %.2f. The bare loop with the job itself in it
  would take %.2f + %.2f = %.2f us, which is 1/%.1f.]]

local function streams_line(streams, bare, view, job)
  local bound = bare.cpu_us.median + job
  return STREAMS:format(ratio(view, streams, "rate"), ratio(streams, view, "cpu_us"), streams.cpu_us.median,
    streams.cpu_us.median / 5, bare.cpu_us.median, job, bound, streams.cpu_us.median / bound)
end

local PLAIN = [[
- **Plain tables against Kafka Streams** (the aim: 2.0 times its throughput): %.2f times, at 1/%.2f of its processor
  time. Decoding and encoding take %.2f us in process; by the least above they cannot take less than %.2f. In a run
  with Kafka on the same cores workers take %.2f us a message.]]

local function tables_line(streams, own, limits)
  local first, index = limits.json.documents[1], limits.json.view[2].ns
  local least = (first.made + first.walked + index) / 1e3
  return PLAIN:format(ratio(own, streams, "rate"), ratio(streams, own, "cpu_us"), (first.decode + first.encode) / 1e3,
    least, own.parts.worker)
end

local function peers_section(limits)
  local at, lines = by_name(limits.results), {}
  local bare, view, streams = at["bare-drop"], at["view-2"], at["kafka-streams"]
  local job = (limits.json.view_ns - limits.json.identity_ns) / 1e3
  if at.arroyo then lines[#lines + 1] = arroyo_line(at.arroyo, bare, view) end
  if streams then lines[#lines + 1] = streams_line(streams, bare, view, job) end
  if streams then lines[#lines + 1] = tables_line(streams, at["tables-2"], limits) end
  return #lines > 0 and PEERS:format(table.concat(lines, "\n")) or ""
end

return function(limits)
  return wrapped(table.concat({ parts_section(limits), once_section(limits), view_section(limits.json),
    tables_section(limits.json), peers_section(limits) }, "\n"))
end
