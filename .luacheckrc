-- SPDX-License-Identifier: MIT
std = "luajit"
max_line_length = 120
files["spec"] = { std = "+busted" }
files["scripts/fuzz/targets"] = { std = "luajit", read_globals = { "fuzz_uncounted", "fuzz_interpreted" } }
files["spec/support"] = { std = "luajit+busted" }
files["lua/tidemill/cli/annotations.lua"] = { ignore = { "631" } } -- an annotation is one line
exclude_files = { "build/**", "lua/tidemill.d.lua" }
