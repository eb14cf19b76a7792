-- SPDX-License-Identifier: MIT
-- Calls between the C files of a folder go one way, and calls between folders go down (layers_spec.lua looks at the
-- includes, which show nothing where one header declares the functions of several files). A file counts as calling
-- another when it names one of its global functions, be it for a call or as a pointer.
local files = require "spec.house.files"

-- kafka/source and kafka/sink stand above kafka and know neither each other nor the chain.
local RANK = { ["engine/base"] = 1, ["engine/shm"] = 2, ["engine/json"] = 2, ["engine/http"] = 2,
  ["engine/store"] = 2, ["engine/lookup"] = 3, ["engine/table"] = 3,
  ["engine/proc"] = 4, ["engine/io"] = 4,
  ["engine/kafka"] = 5, ["engine/chain"] = 6, ["engine/kafka/source"] = 6, ["engine/kafka/sink"] = 6,
  ["engine/kafka/tail"] = 6, ["engine"] = 7 }

-- The code of a C file: comments and texts are blanked.
local function code(path)
  local text = files.read(path):gsub("/%*.-%*/", " "):gsub("//[^\n]*", " "):gsub('\\[\\"]', "")
  return (text:gsub('"[^"\n]*"', '""'))
end

-- The names of its functions that other files may call. A definition begins in the first column (clang-format sees to
-- it), and its parameters are followed by a brace.
local function definitions(text)
  local names = {}
  for head in ("\n" .. text):gmatch("\n([%a_][^\n;{}=#]-%b())%s*{") do
    local name = head:match("([%w_]+)%s*%b()$")
    if name and not head:find("^static") and name ~= "while" then names[#names + 1] = name end
  end
  return names
end

local function folder(path) return path:match("^(.*)/[^/]+$") end

-- path -> set of paths that it calls, with the first name seen. Names without the prefix tide_ are those of one folder
-- (json's C++).
local function calls(paths)
  local owner, texts, graph = {}, {}, {}
  for _, path in ipairs(paths) do
    texts[path] = code(path)
    for _, name in ipairs(definitions(texts[path])) do owner[name] = path end
  end
  for _, path in ipairs(paths) do
    graph[path] = {}
    for name in texts[path]:gmatch("[%a_][%w_]*") do
      local callee = owner[name]
      local visible = name:find("^tide_") or callee and folder(callee) == folder(path)
      if callee and callee ~= path and visible then graph[path][callee] = graph[path][callee] or name end
    end
  end
  return graph
end

-- A way from `path` back to itself inside its folder, as text; nil when there is none.
local function circle(graph, path)
  local seen, queue = {}, { { path = path, way = path } }
  for _, at in ipairs(queue) do
    for callee, name in pairs(graph[at.path]) do
      if folder(callee) == folder(path) then
        local way = ("%s -(%s)-> %s"):format(at.way, name, callee)
        if callee == path then return way end
        if not seen[callee] then
          seen[callee] = true
          queue[#queue + 1] = { path = callee, way = way }
        end
      end
    end
  end
end

local function circles(graph)
  local faults = {}
  for path in pairs(graph) do faults[#faults + 1] = circle(graph, path) end
  table.sort(faults)
  return faults
end

local function climbs(graph)
  local faults = {}
  for path, callees in pairs(graph) do
    for callee, name in pairs(callees) do
      local from, to = folder(path), folder(callee)
      local climbs_up = from ~= to and RANK[to] >= RANK[from]
      if climbs_up or (from == "engine/chain" and to == "engine/kafka") then
        faults[#faults + 1] = ("%s calls %s of %s"):format(path, name, callee)
      end
    end
  end
  table.sort(faults)
  return faults
end

describe("the calls between C files", function()
  it("of one folder make no circle", function()
    for _, place in ipairs { "engine", "scripts/sim" } do
      assert.same({}, circles(calls(files.list({ place }, { "*.c", "*.cpp" }))))
    end
  end)

  it("of several folders go down", function()
    assert.same({}, climbs(calls(files.list({ "engine" }, { "*.c", "*.cpp" }))))
  end)

  it("are seen in the code that there is", function()
    local graph = calls(files.list({ "engine" }, { "*.c", "*.cpp" }))
    assert.truthy(graph["engine/shm/block.c"]["engine/base/status.c"])
    graph["engine/base/status.c"]["engine/shm/block.c"] = "planted"
    graph["engine/shm/message.c"]["engine/shm/block.c"] = "planted"
    graph["engine/shm/block.c"]["engine/shm/message.c"] = "planted"
    assert.truthy(table.concat(circles(graph), "\n"):find("-(planted)->", 1, true))
    graph["engine/kafka/client.c"]["engine/kafka/source/fetch.c"] = "planted"
    graph["engine/chain/commit.c"]["engine/kafka/client.c"] = "planted"
    assert.same({ "engine/base/status.c calls planted of engine/shm/block.c",
      "engine/chain/commit.c calls planted of engine/kafka/client.c",
      "engine/kafka/client.c calls planted of engine/kafka/source/fetch.c" }, climbs(graph))
  end)
end)
