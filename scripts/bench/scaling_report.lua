-- SPDX-License-Identifier: MIT
-- The tables of scripts/bench/scaling.lua for the document.
local figures = require "scripts.bench.figures"

local MIB = 2 ^ 20
local grouped = figures.grouped

local function number(value, decimals)
  return value and ("%." .. decimals .. "f"):format(value) or ""
end

local function table_of(head, rows, cells)
  local lines = { "| " .. table.concat(head, " | ") .. " |", "|" .. ("---|"):rep(#head) }
  for _, row in ipairs(rows) do lines[#lines + 1] = "| " .. table.concat(cells(row), " | ") .. " |" end
  return table.concat(lines, "\n") .. "\n"
end

local function costs(name)
  return function(rows)
    return table_of({ name, "engine, ns a message", "worker, ns a message", "memory of all, MiB" }, rows, function(row)
      return { grouped(row[name]), number(row.engine.median, 1), number(row.worker.median, 1),
        number(row.memory.median / MIB, 1) }
    end)
  end
end

local tables = { partitions = costs "partitions", messages = costs "messages" }

function tables.sleeps(rows)
  return table_of({ "workers", "messages/s", "of linear", "of plain loops" }, rows, function(row)
    return { row.workers, grouped(row.rate.median), number(row.of_one, 3), number(row.of_plain, 3) }
  end)
end

function tables.cpu(rows)
  return table_of({ "workers", "messages/s", "of linear" }, rows, function(row)
    return { row.workers, grouped(row.rate.median), number(row.of_linear, 3) }
  end)
end

function tables.large(rows)
  return table_of({ "", "GB/s", "of memcpy" }, rows, function(row)
    return { row.title, number(row.gigabytes.median, 2), number(row.of_memcpy, 2) }
  end)
end

function tables.start(rows)
  return table_of({ "workers", "ms to the first result", "lowest to highest" }, rows, function(row)
    local one = row.first_result_ms
    return { row.workers, number(one.median, 1), ("%.1f to %.1f"):format(one.low, one.high) }
  end)
end

function tables.memory(rows)
  return table_of({ "workers", "all, MiB", "each one more, MiB", "of that its process, MiB" }, rows, function(row)
    return { row.workers, number(row.all / MIB, 1), number(row.a_worker and row.a_worker / MIB, 2),
      number(row.its_process and row.its_process / MIB, 2) }
  end)
end

function tables.kafka(rows)
  local head = { "partitions", "s from start to end", "messages/s", "CPU us/message", "peak memory, MiB" }
  return table_of(head, rows, function(row)
    return { grouped(row.partitions), number(row.whole_seconds.median, 1), grouped(row.rate.median),
      number(row.cpu_us.median, 2), number(row.memory.median / MIB, 0) }
  end)
end

-- The parts in order, and what is said before the table of each.
local KINDS = {
  { "sleeps", "Workers that sleep 1 ms for each message, against as many times one worker, and against as many plain "
    .. "loops of that sleep:" },
  { "cpu", "Workers that compute; linear is as many times one worker, up to the number of cores:" },
  { "large", "Messages of 1 MiB through one worker, against memcpy of as much:" },
  { "partitions", "The cost of a message by the number of partitions that are assigned, in process:" },
  { "messages", "The cost of a message by the number of messages, in process:" },
  { "start", "From nothing to the first result, in process:" },
  { "memory", "Memory (PSS) at full load, in process, with identity:" },
  { "kafka", "One member that is assigned all partitions of a topic in a real Kafka, results to /dev/null:" },
}

return function(scaling)
  local parts = {}
  for _, kind in ipairs(KINDS) do
    local name, words = unpack(kind)
    if scaling[name] then parts[#parts + 1] = words .. "\n\n" .. tables[name](scaling[name]) end
  end
  if scaling.start then
    parts[#parts + 1] = ("The program takes %.0f ms from start to end with an empty input and 2 workers.\n"):format(
      scaling.start[1].program_ms.median)
  end
  return table.concat(parts, "\n")
end
