-- SPDX-License-Identifier: MIT
-- What Makefile, lua/ and scripts/ use stands in the lists of scripts/dev/install.sh. What the program needs to be
-- built and to run stands in packaging/Containerfile too. A machine that has everything cannot tell, so each line
-- is taken out of both lists here, and must be missed.
local commands = require "spec.house.commands"
local files = require "spec.house.files"

local INSTALL, CONTAINER = "scripts/dev/install.sh", "packaging/Containerfile"

local function set(text)
  local words = {}
  for word in text:gmatch "%S+" do words[word] = true end
  return words
end

-- Of the shell, and of Debian's essential packages and apt.
local SHELL = set [[break cd compgen continue done echo esac eval exit export false fi jobs kill local mapfile printf
  pwd read return set shift trap true type umask unset wait]]
local ESSENTIAL = set [[apt-config apt-get awk bash cat chmod chown chroot cmp cp cut date df diff dirname dpkg-deb
  find grep head id install ln ls mkdir mktemp mount mv nproc rm rmdir sed seq setarch setpriv sh sleep sort tail
  tar tee touch tr uniq unshare wc xargs]]
local BUILT_IN, OURS = set "bit ffi jit string", set "tidemill scripts spec"
local KINDS = { command = "the command", library = "the pkg-config name", shared = "the library", file = "the file",
  lua = "the Lua module", python = "Python's module",
  runtime = "the runtime of clang" }

-- The lists of install.sh: what is needed by kind, { name = package }, and packages by purpose.
local function parse_install(text)
  local needs, purposes, purpose = {}, {}, nil
  for kind in pairs(KINDS) do needs[kind] = {} end
  for line in text:gmatch "[^\n]+" do
    purpose = line:match "^    (%l+)%)$" or purpose
    local kind, name, package = line:match "^      need_(%l+) (%S+) ([%w.+-]+)"
    if kind then
      name = name:gsub('^"%${%u+:%-(.*)}"$', "%1")
      needs[kind] = needs[kind] or {}
      needs[kind][name] = package
      purposes[purpose] = purposes[purpose] or {}
      purposes[purpose][package] = true
    end
  end
  for kind, command in pairs { java = "java", python = "python3" } do
    if next(needs[kind] or {}) then needs.command[command] = true end
  end
  return needs, purposes
end

-- The packages of the two stages.
local function parse_container(text)
  local stages = {}
  for line in text:gmatch "[^\n]+" do
    if line:find "^FROM " then stages[#stages + 1] = {} end
    local package = line:match "^    (%l[%w.+-]*)"
    if package then stages[#stages][package] = true end
  end
  return stages[1], stages[2]
end

-- What a file uses: { kind, name } each, but for what is no package of its own.
local function commands_of(path, text, use)
  for name in pairs(commands.scan(path == "Makefile" and commands.of_makefile(text) or text)) do
    local ours = text:find(name .. "() {", 1, true) -- a function of the script
    if not (ours or SHELL[name] or ESSENTIAL[name]) then use("command", name) end
  end
  for name in text:gmatch "python3 %-m ([%w_]+)" do
    if name ~= "zipfile" then use("python", name == "venv" and "ensurepip" or name) end
  end
  for file in (path ~= INSTALL and text or ""):gmatch "=(/usr/share/[%w/._-]+)" do use("file", file) end
  for name in (path == "Makefile" and text or ""):gmatch "%-fsanitize=(fuzzer)%f[^%w-]" do
    use("command", "clang")
    use("runtime", name)
  end
  for called in text:gmatch "pkg%-config( %-%-[%w -]+)" do
    for name in called:gmatch " (%l%w+)" do use("library", name) end
  end
end

local function modules_of(path, text, use)
  local function module(name)
    local base = name:match "^[%w_]+"
    local ours = OURS[base] or io.open(path:match "^(.*/)" .. base .. ".lua")
    if not (ours or BUILT_IN[base]) then use("lua", base) end
  end
  for soname in text:gmatch "[\"'](lib[%w_.+-]+%.so%.%d+)[\"']" do use("shared", soname) end
  for name in text:gmatch 'path_of "([%w-]+)"' do use("command", name) end -- spec/support/installed.lua
  if path:find "^spec/" then return end -- specs come with busted
  for name in text:gmatch "%f[%w_.]require%s*%(?%s*[\"']([%w_.]+)[\"']" do module(name) end
  for name in text:gmatch "library%.require%([^,]*, \"([%w_.]+)\"" do module(name) end
end

local PATHS = files.list({ "scripts", ".ci" }, { "*.sh", "run" })
table.insert(PATHS, "Makefile")
for _, path in ipairs(files.list({ "lua", "scripts", "spec/support" }, { "*.lua" })) do table.insert(PATHS, path) end

local known = {} -- by text

local function uses_of(path, text)
  if not known[text] then
    local list = {}
    local function use(kind, name) list[#list + 1] = { kind = kind, name = name } end
    local read = path:find "%.lua$" and modules_of or commands_of
    read(path, text, use)
    known[text] = list
  end
  return known[text]
end

-- Both ways: what install.sh has for building and running, and nothing else.
local function check_container(complain, text_of, purposes)
  local build, run = parse_container(text_of(CONTAINER))
  local needed, wanted = purposes.build or {}, {}
  for package in pairs(purposes.run or {}) do wanted[package] = true end
  for package in pairs(needed) do
    if not build[package] then complain(CONTAINER, "for building the package", package) end
    local library = package:match "^(lib.*)%-dev$"
    if library and library ~= "libc6" then wanted[library:gsub("ssl$", "ssl3")] = true end
  end
  for package in pairs(build) do
    if not needed[package] then complain(INSTALL, "for building the package", package) end
  end
  local function matches(package, name) return package:gsub("^(lib.-)%-?%d*$", "%1") == name or package == name end
  local function any(list, test)
    for name in pairs(list) do if test(name) then return true end end
  end
  for name in pairs(wanted) do
    if not any(run, function(package) return matches(package, name) end) then
      complain(CONTAINER, "for running the package", name)
    end
  end
  for package in pairs(run) do
    if not any(wanted, function(name) return matches(package, name) end) then
      complain(INSTALL, "for running the package", package)
    end
  end
end

local texts = {}
for _, path in ipairs { CONTAINER, unpack(PATHS) } do texts[path] = files.read(path) end

-- All complaints, with `changed` in place of the files of these paths.
local function complaints(changed)
  local list = {}
  local function complain(path, what, name) list[#list + 1] = ("%s: %s %s is not listed"):format(path, what, name) end
  local function text_of(path) return changed and changed[path] or texts[path] end
  local needs, purposes = parse_install(text_of(INSTALL))
  for _, path in ipairs(PATHS) do
    for _, one in ipairs(uses_of(path, text_of(path))) do
      if not needs[one.kind][one.name] then complain(path, KINDS[one.kind], one.name) end
    end
  end
  check_container(complain, text_of, purposes)
  return list
end

-- Each line of a file that matches, with the text that is left without it.
local function without_each(path, pattern)
  local lines, left = files.lines(path), {}
  for i, line in ipairs(lines) do
    if line:find(pattern) then
      local rest = { unpack(lines) }
      table.remove(rest, i)
      left[line] = table.concat(rest, "\n") .. "\n"
    end
  end
  return left
end

describe("the packages", function()
  it("that are needed are listed", function()
    assert.same({}, complaints())
  end)

  for path, pattern in pairs { [INSTALL] = "^      need_", [CONTAINER] = "^    %l" } do
    it("are missed when a line is taken out of " .. path, function()
      local count = 0
      for line, text in pairs(without_each(path, pattern)) do
        count = count + 1
        assert.is_true(#complaints { [path] = text } > #complaints(), line)
      end
      assert.is_true(count > 20)
    end)
  end

  it("are missed when something new is used", function()
    local new = {
      ["Makefile"] = { "LIBS += $(shell pkg-config --libs avro)\nx:\n\t@jq . <x", "avro", "jq" },
      ["scripts/dev/demo.sh"] = { 'x=$(yq . "$(rsync a b)")', "yq", "rsync" },
      ["lua/tidemill/lib/zstd.lua"] = { 'ffi.load("liblz4.so.1") require("lpeg")', "liblz4.so.1", "lpeg" },
    }
    for path, one in pairs(new) do
      local found = table.concat(complaints { [path] = files.read(path) .. one[1] .. "\n" }, "\n")
      for i = 2, #one do assert.matches(path .. ": [%w%-' ]+ " .. one[i]:gsub("%p", "%%%0") .. " is not", found) end
    end
  end)
end)
