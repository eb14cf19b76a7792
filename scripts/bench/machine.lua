-- SPDX-License-Identifier: MIT
-- What a benchmark ran on and with.
local machine = {}

local function output_of(command)
  local pipe = io.popen(command .. " 2>/dev/null")
  local text = pipe:read("*a"):gsub("%s+$", "")
  pipe:close()
  return text ~= "" and text or nil
end

local function found(path, pattern)
  local file = io.open(path, "r")
  if not file then return nil end
  local text = file:read("*a")
  file:close()
  return text:match(pattern)
end

--- { processor, cores, memory_gib, kernel, commit, versions = { name = text } }
function machine.describe()
  local changed = output_of("git status --porcelain --untracked-files=no")
  return {
    processor = found("/proc/cpuinfo", "model name%s*:%s*([^\n]+)") or "unknown",
    cores = tonumber(output_of("nproc")),
    memory_gib = math.floor(tonumber(found("/proc/meminfo", "MemTotal:%s+(%d+)")) / 1024 / 1024 + 0.5),
    kernel = output_of("uname -sr"),
    commit = (output_of("git rev-parse --short HEAD") or "unknown") .. (changed and " with changes" or ""),
    versions = {
      luajit = jit.version,
      librdkafka = output_of("pkg-config --modversion rdkafka"),
      kafka = found("scripts/dev/pom.xml", "kafka_2.13</artifactId>%s*<version>([^<]+)"),
      arroyo = found("scripts/bench/arroyo/requirements.txt", "sentry%-arroyo==(%S+)"),
    },
  }
end

return machine
