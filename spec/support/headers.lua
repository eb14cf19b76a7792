-- SPDX-License-Identifier: MIT
-- Declares engine headers that the program itself does not need, so that a spec can drive their modules through
-- run/ffi's library. A header is read after those it includes.
local ffi = require "ffi"
local C = require("tidemill.run.ffi").C

local headers = {}
local declared = {}

local function contents(path)
  local file = assert(io.open(path, "r"))
  local text = file:read("*a")
  file:close()
  return text
end

-- What run/ffi.lua has declared is in its list.
for path in contents("lua/tidemill/run/ffi.lua"):gmatch('"([%w_/]+%.h)"') do
  declared[path] = true
end

-- What the macros of <sys/queue.h> stand for.
local function expand_lists(text)
  return (text:gsub("STAILQ_ENTRY%(([%w_]+)%)", "struct { struct %1 *stqe_next; }")
    :gsub("STAILQ_HEAD%(([%w_]*), ([%w_]+)%)", "struct %1 { struct %2 *stqh_first; struct %2 **stqh_last; }")
    :gsub("TAILQ_ENTRY%(([%w_]+)%)", "struct { struct %1 *tqe_next; struct %1 **tqe_prev; }"))
end

local function declare(path)
  if declared[path] then return end
  declared[path] = true
  local text = expand_lists(contents("engine/" .. path))
  for included in text:gmatch('#include "([^"]+)"') do declare(included) end
  local ok, problem = pcall(ffi.cdef, (("\n" .. text):gsub("\n#[^\n]*", "\n")))
  if not ok then error(path .. ": " .. problem, 0) end
end

--- Declares the headers named ("chain/offsets.h") and returns the library.
function headers.declare(...)
  for _, path in ipairs { ... } do declare(path) end
  return C
end

--- Declares structs and enums that a source file keeps to itself, for the few specs that cannot wait for a counter to
--- come round. names: "struct x" or "enum x", in order.
function headers.declare_private(path, names)
  local text = contents("engine/" .. path)
  for _, name in ipairs(names) do
    local body = text:match("\n" .. name .. " (%b{});")
    ffi.cdef(name .. " " .. assert(body, name .. " is not in " .. path) .. ";")
  end
end

return headers
