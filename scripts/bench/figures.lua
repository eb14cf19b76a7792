-- SPDX-License-Identifier: MIT
-- What the benchmarks share: their settings (BENCH_...), what they say, and the files that keep their figures until
-- scripts/bench/report.lua writes the document.
local cjson = require "cjson"
local machine = require "scripts.bench.machine"
local median = require "scripts.bench.median"
local process = require "spec.support.process"

local figures = {}

local FOLDER = "build/bench"

figures.quick = os.getenv "BENCH_QUICK" == "1"

--- The number that BENCH_<name> says, else `full`, or `quick` in the short form.
function figures.setting(name, full, quick)
  return tonumber(os.getenv("BENCH_" .. name)) or (figures.quick and quick or full)
end

function figures.say(...)
  io.stderr:write("bench: ", string.format(...), "\n")
end

--- Runs a benchmark and ends its processes, calls `clean` if there is one, and tells how long `title` took, if it has
--- one. An error is told, and ends the program with 70.
function figures.run(main, title, clean)
  local began = os.time()
  local ok, reason = xpcall(main, debug.traceback)
  process.stop_all()
  if clean then clean() end
  if not ok then
    figures.say("%s", reason)
    os.exit(70)
  end
  if title then figures.say("%s took %.1f minutes", title, (os.time() - began) / 60) end
end

--- Those of a list that BENCH_ONLY names, all without it. Each has a `name`; unknown names end the program with 64.
function figures.chosen(list)
  local only = os.getenv "BENCH_ONLY"
  if not only then return list end
  local wanted, chosen, names = {}, {}, {}
  for name in only:gmatch "[^,%s]+" do wanted[name] = true end
  for i, one in ipairs(list) do
    names[i] = one.name
    if wanted[one.name] then chosen[#chosen + 1] = one end
    wanted[one.name] = nil
  end
  local unknown = next(wanted)
  if unknown then
    figures.say("BENCH_ONLY: there is no %s here; there are: %s", unknown, table.concat(names, " "))
    os.exit(64)
  end
  return chosen
end

--- { median, low, high, list } of what several rounds gave.
function figures.of(list)
  return { median = median(list), low = math.min(unpack(list)), high = math.max(unpack(list)), rounds = list }
end

--- The median of the ratios of two within the same round; nil when no round has both.
function figures.ratio(list, others)
  local ratios = {}
  for round, value in pairs(list) do
    if others[round] then ratios[#ratios + 1] = value / others[round] end
  end
  return #ratios > 0 and median(ratios) or nil
end

--- A number with commas.
function figures.grouped(number)
  local text = ("%.0f"):format(number)
  repeat
    local count
    text, count = text:gsub("^(%d+)(%d%d%d)", "%1,%2")
  until count == 0
  return text
end

local function path_of(part, short)
  return ("%s/%s%s.json"):format(FOLDER, part, short and ".short" or "")
end

--- Keeps the results of one part, with the machine. Those of a short form, or of some of what it has, are kept apart:
--- they do not replace what the document is written from.
function figures.save(part, results)
  os.execute("mkdir -p " .. FOLDER)
  results.machine, results.quick = machine.describe(), figures.quick
  results.partial = os.getenv "BENCH_ONLY"
  local path = path_of(part, figures.quick or results.partial)
  local file = assert(io.open(path, "w"))
  file:write(cjson.encode(results), "\n")
  file:close()
  figures.say("all figures are in %s", path)
end

--- What save() kept of the whole part, or with `short` of a short form of it; nil when there is none.
function figures.load(part, short)
  local file = io.open(path_of(part, short))
  if not file then return nil end
  local results = cjson.decode(file:read "*a")
  file:close()
  return results
end

return figures
