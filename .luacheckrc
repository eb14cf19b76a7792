-- SPDX-License-Identifier: MIT
std = "luajit"
max_line_length = 120
files["spec"] = { std = "+busted" }
files["spec/support"] = { std = "luajit+busted" }
exclude_files = { "build/**" }
