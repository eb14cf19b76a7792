-- SPDX-License-Identifier: MIT
-- What comments and documents refer to is there: files, functions, constants. And they refer to nothing that a reader
-- of the repository cannot open.
local files = require "spec.house.files"

local SOURCES = files.list({ "engine", "lua", "spec", "scripts" }, { "*.c", "*.h", "*.cpp", "*.hpp", "*.lua", "*.sh" })
local DOCUMENTS = { "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/torture.md", "Makefile" }

local ENDINGS = { c = true, h = true, cpp = true, hpp = true, lua = true, sh = true, md = true, py = true }

-- Words by which a comment refers to a text that is not in the repository.
local ABROAD = { "design section", "design %d", "[Tt]he page%f[%W][^s]", "[Tt]he page's", "%(shared: ", "reliability:",
  "design%.md", "field%-faults" }

-- A file may be named by its path from one of these, or from the folder of the file that names it.
local ROOTS = { "", "engine/", "engine/kafka/", "lua/", "lua/tidemill/", "spec/", "scripts/" }

-- Functions of the C library, LuaJIT and librdkafka that comments name and the code does not call.
local OF_LIBRARIES = { isspace = true, log2 = true, gethostbyname = true }

-- Files of the C library and of the libraries.
local ELSEWHERE = { ["sysexits.h"] = true, ["sys/types.h"] = true, ["sys/queue.h"] = true, ["lua.h"] = true,
  ["rdkafka.h"] = true, ["jit/bc.lua"] = true }

-- A file as its comments (of a document: what stands in backquotes), its code and its prose.
local function split(path)
  local text, comments = files.read(path), {}
  local function comment(words)
    comments[#comments + 1] = words
    return " "
  end
  local patterns = { "/%*.-%*/", "//[^\n]*" }
  if path:find("%.lua$") then
    patterns = { "%-%-%[%[.-%]%]", "%-%-[^\n]*" }
  elseif path:find("%.sh$") or path == "Makefile" then
    patterns = { "%f[#]#[^\n]*" }
  elseif path:find("%.md$") then
    text:gsub("```.-```", " "):gsub("`([^`\n]+)`", comment)
    return table.concat(comments, "\n"), "", text
  end
  local code = text
  for _, pattern in ipairs(patterns) do code = code:gsub(pattern, comment) end
  comments = table.concat(comments, "\n")
  return comments, code, comments
end

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

local known = {}
for _, path in ipairs(files.list({ "engine", "lua", "spec", "scripts", "docs" }, { "*" })) do
  known[path:match("[^/]+$")] = true
end

local function found(name, path)
  -- x.c, t.lua, step_x.c stand for any file.
  local stands_for_any = name:find("%.%.%.") or name:find("%f[%w_][%w]%.%a+$") or name:find("_x%.c$")
  if ELSEWHERE[name] or stands_for_any or name:find("^/") then return true end
  if exists(path:match("^(.-)[^/]*$") .. name) then return true end
  for _, root in ipairs(ROOTS) do
    if exists(root .. name) then return true end
  end
  return not name:find("/") and known[name]
end

local pieces = {}
for _, list in ipairs { SOURCES, DOCUMENTS } do
  for _, path in ipairs(list) do pieces[#pieces + 1] = { path, split(path) } end
end

local function each(visit)
  for _, piece in ipairs(pieces) do visit(unpack(piece, 1, 4)) end
end

-- Every name that stands in code, as a set.
local names = {}
each(function(_, _, code)
  for name in code:gmatch("[%a_][%w_]*") do names[name] = true end
end)

-- The anchors of a document's headings, as GitHub makes them.
local function headings(path)
  local anchors = {}
  for heading in ("\n" .. files.read(path)):gmatch("\n#+ ([^\n]+)") do
    anchors[(heading:lower():gsub("[^%w _-]", ""):gsub(" ", "-"))] = true
  end
  return anchors
end

describe("comments and documents", function()
  it("name files that there are", function()
    local faults = {}
    each(function(path, comments)
      for name in comments:gmatch("[%w_./-]*[%w_]%.[%a]+") do
        local ext = name:match("%.(%a+)$")
        if ENDINGS[ext] and not found(name, path) then
          faults[#faults + 1] = path .. ": " .. name
        end
      end
    end)
    assert.same({}, faults)
  end)

  it("name functions and constants that there are", function()
    local faults = {}
    each(function(path, comments)
      for name, after in comments:gmatch("%f[%w_]([tT][iI][dD][eE]_[%w_]*%w)([_*<x.]?)") do
        if after == "" or after == "." then
          if not names[name] and name ~= "tide_x" then faults[#faults + 1] = path .. ": " .. name end
        end
      end
    end)
    assert.same({}, faults)
  end)

  it("name functions of the DSL that there are", function()
    local annotations, faults = files.read("lua/tidemill.d.lua"), {}
    for _, path in ipairs { "README.md", "ARCHITECTURE.md", "docs/library.md", "docs/codecs.md", "docs/options.md",
      "docs/transforms.md", "docs/cluster.md", "docs/arroyo.md" } do
      for name in files.read(path):gmatch("%f[%w_]tide(%.[%w_.]*[%w_])") do
        local module, member = name:match("^%.(%w+)%.([%w_]+)$")
        local field = module and ("%%-%%-%%-@field %s {[^\n]*%%f[%%w_]%s%%f[^%%w_]"):format(module, member)
        if not annotations:find("tide" .. name .. "%f[^%w_]") and not (field and annotations:find(field))
          and not annotations:find("%-%-%-@field " .. name:sub(2) .. "%f[^%w_]") then
          faults[#faults + 1] = path .. ": tide" .. name
        end
      end
    end
    assert.same({}, faults)
  end)

  it("refer to nothing outside of the repository", function()
    local faults = {}
    each(function(path, _, _, prose)
      for _, words in ipairs(ABROAD) do
        local hit = prose:match("[^\n]*" .. words .. "[^\n]*")
        if hit and not hit:find("page tables", 1, true) then faults[#faults + 1] = path .. ": " .. hit end
      end
    end)
    assert.same({}, faults)
  end)

  it("comments name functions that there are, where parentheses say that it is one", function()
    local faults = {}
    each(function(path, comments)
      if path:find("^engine/") then
        for name in comments:gmatch("%f[%w_.]([%a_][%w_]+)%(%)") do
          if not names[name] and not OF_LIBRARIES[name] then
            faults[#faults + 1] = path .. ": " .. name .. "()"
          end
        end
      end
    end)
    assert.same({}, faults)
  end)

  it("documents link to files and headings that there are", function()
    local faults = {}
    for _, path in ipairs(files.list({ ".", "docs" }, { "*.md" })) do
      path = path:gsub("^%./", "")
      for target in files.read(path):gsub("```.-```", ""):gmatch("%]%(([^)%s]+)%)") do
        local file, heading = target:match("^([^#]*)#?(.*)$")
        local linked = file == "" and path or path:match("^(.-)[^/]*$") .. file
        if not target:find("^https?:") then
          if not exists(linked) then
            faults[#faults + 1] = path .. ": " .. target
          elseif heading ~= "" and not headings(linked)[heading] then
            faults[#faults + 1] = path .. ": " .. target
          end
        end
      end
    end
    assert.same({}, faults)
  end)
end)
