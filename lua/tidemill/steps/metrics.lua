-- SPDX-License-Identifier: MIT
-- steps/metrics.lua: where metrics go while a pipeline runs, and where its state is shown.
return {
  name = "metrics",
  kind = "setting",
  summary = "where metrics go while the pipeline runs: Prometheus, StatsD, and the dashboard",
  example = 'metrics = tide.metrics { prometheus = "127.0.0.1:9464", tags = { region = "eu" } }',
  options = {
    { name = "prometheus", type = "address", any_port = true, default_text = "no HTTP",
      help = "The address on which the run answers HTTP: /metrics for Prometheus, / for the dashboard, /status for "
        .. "programs (`tidemill top`), /healthz and /readyz for probes. HOST:PORT, or a port alone, which is one of "
        .. "127.0.0.1; port 0 takes any that is free, and the log names it. It has no password: 0.0.0.0 shows all of "
        .. "it to everybody who reaches the machine. The flag --metrics-addr overrides it." },
    { name = "hosts", type = "strings", default_text = "none beside addresses, localhost and the host of prometheus",
      help = "Further names by which clients call this machine (the header Host). A request with any other name is "
        .. "refused, since a page of another site could have sent it." },
    { name = "statsd", type = "address", default_text = "no StatsD",
      help = "The address of a StatsD or DogStatsD server, which gets the metrics by UDP once a second. The flag "
        .. "--statsd overrides it." },
    { name = "statsd_format", type = "choice", values = { "dogstatsd", "statsd" }, default = "dogstatsd",
      help = "dogstatsd: labels are tags, as Datadog, Telegraf, Vector and the statsd_exporter read them. statsd: they "
        .. "are parts of the name, for servers that know no tags; give each pipeline a prefix of its own." },
    { name = "prefix", type = "string", default = "tidemill",
      help = 'What the names of metrics begin with. "arroyo": the names are those of Arroyo, for boards that know '
        .. "them." },
    { name = "tags", type = "tags", default_text = "none",
      help = "Labels that all metrics get, by name." },
    { name = "tap", type = "boolean", default = false,
      help = "Whether the contents of messages and state may be seen over HTTP (`tidemill tap`, /state). The flag "
        .. "--tap allows it for a run." },
  },
  -- What the address answers: GET and HEAD alone, on loopback unless told otherwise. Shown by help and documents.
  paths = {
    { "/", "The dashboard, for a browser. It fetches nothing from elsewhere." },
    { "/tuning", "The four steps of tuning as a check list, for a browser." },
    { "/metrics", "All metrics in the text format of Prometheus." },
    { "/status", "The state of the run as JSON, for programs: totals, rates, what limits it and what to change, steps, "
      .. "workers, partitions, dead letters. It has a version, and fields are only added to it." },
    { "/healthz", "200 while the engine's loop turns (of several engines: the loop of each), 503 when it has not for "
      .. "30 s: for a liveness probe, which starts the program again." },
    { "/readyz", "200 while the run is connected, has partitions and reads; else 503 and the state that it is in: for "
      .. "a readiness probe. Of several engines each must read, and one have partitions." },
    { "/tap", "Samples of messages, for `tidemill tap`; refused unless tap is on." },
    { "/state/NAME/KEY", "The value that a key has in a state of tide.keyed now: a line of JSON for each partition. "
      .. "?partition=N: for one. The key is percent-encoded. Refused unless tap is on." },
    { "/profile", "Where the time of a worker goes, for `tidemill profile`." },
  },
  check = function(values, fault)
    if values.prefix and not values.prefix:find("^[%a_][%w_.]*$") then
      fault('option "prefix" = "%s": must be letters, digits, "_" and ".", and begin with a letter', values.prefix)
    end
  end,
}
