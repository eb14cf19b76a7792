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

local function requirement(name, package)
  return found(("scripts/bench/%s/requirements.txt"):format(name), package:gsub("%-", "%%-") .. "==(%S+)")
end

--- { processor, cores, memory_gib, kernel, commit, versions = { name = text } }
function machine.describe()
  local changed = output_of("git status --porcelain --untracked-files=no")
  local streams = "scripts/bench/kafka_streams/pom.xml"
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
      java = output_of("java -version 2>&1 | sed -nE 's/.* version \"([^\"]+)\".*/\\1/p'"),
      python = output_of("python3 -c 'import platform; print(platform.python_version())'"),
      kafka_streams = found(streams, "kafka%-streams</artifactId>%s*<version>([^<]+)"),
      jackson = found(streams, "jackson%-databind</artifactId>%s*<version>([^<]+)"),
      bytewax = requirement("bytewax", "bytewax"),
      quix = requirement("quix", "quixstreams"),
      arroyo = requirement("arroyo", "sentry-arroyo"),
      orjson = requirement("bytewax", "orjson"),
      confluent_kafka = requirement("bytewax", "confluent-kafka"),
      benthos = found("scripts/bench/benthos/go.mod", "benthos/v4 v(%S+)"),
    },
  }
end

return machine
