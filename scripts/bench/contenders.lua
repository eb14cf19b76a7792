-- SPDX-License-Identifier: MIT
-- Who takes part in the benchmark. `filters` = leaves debug events out; `slow` = gets fewer messages;
-- `markers` = its output has transaction markers too; `beside` = whose rate it is compared with.
-- command(job) gives argv for job = { brokers, topic, out, group, report }; read and seconds are then found in the JSON
-- object that the program prints, or writes to job.report.
local function tidemill(name, workers, delivery, ...)
  local more = { ... }
  return function(job)
    return {
      "build/tidemill", "run", "scripts/bench/pipeline.lua", "--set", "job=" .. name,
      "--set", "brokers=" .. job.brokers, "--set", "topic=" .. job.topic, "--set", "out=" .. job.out,
      "--set", "group=" .. job.group, "--set", "workers=" .. workers,
      "--set", "delivery=" .. (delivery or "at_least_once"), "--until-end", "--report", job.report,
      unpack(more),
    }
  end
end

return {
  {
    name = "bare", title = "bare librdkafka loop in C",
    command = function(job) return { "build/bare_loop", job.brokers, job.topic, job.out, job.group } end,
  },
  { name = "identity-1", title = "tidemill, identity, 1 worker", command = tidemill("identity", 1) },
  { name = "identity-2", title = "tidemill, identity, 2 workers", command = tidemill("identity", 2) },
  {
    name = "once-1", title = "the same, exactly once", beside = "identity-1", markers = true,
    command = tidemill("identity", 1, "exactly_once"),
  },
  {
    name = "watched-2", title = "the same, exporting and advising", beside = "identity-2",
    command = tidemill("identity", 2, nil, "--metrics-addr", "0", "--statsd", "127.0.0.1:9"),
  },
  { name = "view-1", title = "tidemill, JSON view job, 1 worker", command = tidemill("view", 1), filters = true },
  { name = "view-2", title = "tidemill, JSON view job, 2 workers", command = tidemill("view", 2), filters = true },
  { name = "cjson-2", title = "tidemill, cjson job, 2 workers", command = tidemill("cjson", 2), filters = true },
  {
    name = "arroyo", title = "Arroyo, json job, 2 processes", filters = true, slow = true,
    command = function(job)
      return {
        "build/arroyo/bin/python", "scripts/bench/arroyo/job.py", job.brokers, job.topic, job.out, job.group,
      }
    end,
  },
}
