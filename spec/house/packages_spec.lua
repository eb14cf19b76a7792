-- SPDX-License-Identifier: MIT
-- What Makefile, lua/ and scripts/ use stands in the lists of scripts/dev/install.sh. What the program needs to be
-- built and to run stands in packaging/debian/control too. A machine that has everything cannot tell, so each line
-- is taken out of both lists here, and must be missed.
local commands = require "spec.house.commands"
local files = require "spec.house.files"

local INSTALL, CONTROL = "scripts/dev/install.sh", "packaging/debian/control"
local DIST = "scripts/dev/dist.sh"

local function set(text)
  local words = {}
  for word in text:gmatch "%S+" do words[word] = true end
  return words
end

-- Of the shell, and of Debian's essential packages and apt.
local SHELL = set [[break cd compgen continue done echo esac eval exit export false fi jobs kill local mapfile printf
  pwd read return set shift trap true type umask unset wait]]
local ESSENTIAL = set [[apt-config apt-get awk basename bash cat chmod chown chroot cmp cp cut date df diff dirname dpkg
  dpkg-deb dpkg-query find grep gzip head id install ln ls mkdir mktemp mount mv nproc readlink realpath rm rmdir sed
  seq setarch setpriv sh sleep sort tail tar tee touch tr uname uniq unshare wc xargs]]
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

-- The packages of a field, one a line.
local function parse_control(text, field)
  local list = {}
  local lines = text:match("\n" .. field .. ":\n( .-)\n%f[^ \n]") or ""
  for package in lines:gmatch " (%l[%w.+-]*)" do list[package] = true end
  return list
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
    local base = name:match "^luasql%.%w+" or name:match "^[%w_]+" -- a package for each database
    local ours = OURS[base] or io.open(path:match "^(.*/)" .. base .. ".lua")
    if not (ours or BUILT_IN[base]) then use("lua", base) end
  end
  for soname in text:gmatch "[\"'](lib[%w_+-]+%.so%.?%d*)[\"']" do
    if soname ~= "libtidemill.so" then use("shared", soname) end
  end
  for name in text:gmatch 'path_of "([%w_-]+)"' do use("command", name) end -- spec/support/installed.lua
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

-- In build-essential, which each package may count on.
local BUILD_ESSENTIAL = set "build-essential dpkg-dev g++ gcc libc6-dev make"
-- What the program itself takes when it is run to print the completion scripts.
local TO_RUN_ONCE = set "lua-argparse lua-cjson"

-- Both ways: what is in `one` is in `other`.
local function check_same(complain, one, other, path_of_one, path_of_other, what)
  for package in pairs(one) do
    if not other[package] then complain(path_of_other, what, package) end
  end
  for package in pairs(other) do
    if not one[package] then complain(path_of_one, what, package) end
  end
end

-- The package's dependencies are what install.sh has for building and running. Those of libraries that are linked are
-- found by dpkg-shlibdeps.
local function check_package(complain, text_of, purposes)
  local build, run = set "", set ""
  for _, purpose in ipairs { "build", "deb" } do
    for package in pairs(purposes[purpose] or {}) do build[package] = true end
  end
  for package in pairs(BUILD_ESSENTIAL) do
    if not build[package] then complain(INSTALL, "for building the package", package) end
    build[package] = nil
  end
  for package in pairs(TO_RUN_ONCE) do build[package] = (purposes.run or {})[package] end
  for package in pairs(purposes.run or {}) do
    if not (package == "libssl3" and build["libssl-dev"]) then run[package] = true end
  end
  local build_depends = parse_control(text_of(CONTROL), "Build%-Depends")
  if build_depends["debhelper-compat"] then
    build_depends["debhelper-compat"], build_depends.debhelper = nil, true
  end
  check_same(complain, build, build_depends, INSTALL, CONTROL, "for building the package")
  check_same(complain, run, parse_control(text_of(CONTROL), "Depends"), INSTALL, CONTROL, "for running the package")
end

-- `make dist` carries what running takes: libraries by their sonames, Lua modules by their packages, and the licences.
local function check_archive(complain, text_of, needs, purposes)
  local text = text_of(DIST)
  local function has(word) return (" " .. text:gsub("[^%w.+-]", " ") .. " "):find(" " .. word .. " ", 1, true) end
  for soname, package in pairs(needs.shared) do
    if purposes.run[package] and not has(soname) then complain(DIST, "the library", soname) end
    if purposes.run[package] and not has(package) then complain(DIST, "the licence of", package) end
  end
  for _, package in pairs(needs.lua) do
    if purposes.run[package] and not has(package) then complain(DIST, "the Lua modules of", package) end
  end
end

local texts = {}
for _, path in ipairs { CONTROL, unpack(PATHS) } do texts[path] = files.read(path) end

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
  check_package(complain, text_of, purposes)
  check_archive(complain, text_of, needs, purposes)
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

  for path, pattern in pairs { [INSTALL] = "^      need_", [CONTROL] = "^ [%l%d.+-]+,$" } do
    it("are missed when a line is taken out of " .. path, function()
      local count = 0
      for line, text in pairs(without_each(path, pattern)) do
        count = count + 1
        assert.is_true(#complaints { [path] = text } > #complaints(), line)
      end
      assert.is_true(count > 15)
    end)
  end

  it("are missed when the tar.gz does not carry them", function()
    for _, name in ipairs { "libpcre2%-8%.so%.0", "libpcre2%-8%-0", "lua%-socket" } do
      local changed = { [DIST] = files.read(DIST):gsub(name, "other") }
      assert.equal(1, #complaints(changed), name)
    end
  end)

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
