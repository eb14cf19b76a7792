-- SPDX-License-Identifier: MIT
-- steps/pool.lua: worker processes that several steps may share.
return {
  name = "pool",
  kind = "setting",
  summary = "worker processes that several steps may share; they are kept over rebalances",
  example = 'local pool = tide.pool { processes = 4 }',
  options = {
    { name = "processes", type = "count", unit = "processes", min = 1, max = 512, usable_cores = true,
      default_text = "the cores that it may use",
      help = "The number of worker processes. The default is the number of cores that may be used: those of the "
        .. "affinity (taskset), up to the quota of the control group (docker --cpus)." },
  },
}
