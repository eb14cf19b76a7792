-- SPDX-License-Identifier: MIT
-- The program and the shared objects have what the Makefile's flags are for, as scripts/dev/hardening.sh sees it. It
-- would see if one of these flags were taken out: each is, from a small program that is built here with the others.
local program = require "spec.support.program"

local folder

local function run(line, ...)
  local pipe = assert(io.popen(("{ %s; } 2>&1; echo \"code=$?\""):format(line:format(...))))
  local out, code = pipe:read "*a":match "^(.*)code=(%d+)\n$"
  pipe:close()
  return out, tonumber(code)
end

local SOURCE = [[
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
char *volatile text = "a text of more bytes than the block has that is made for it";
volatile size_t length = 16;
void fill(char *buffer);
void fill(char *buffer)
{
    snprintf(buffer, 8192, "%s", text);
}
int main(void)
{
    char page[8192]; /* more than a page of the stack */
    fill(page);
    char *block = malloc(length); /* how long it is, is known when it runs */
    memcpy(block, page, strlen(page) + 1);
    printf("%s %zu\n", block, length);
    free(block);
    return 0;
}
]]

-- What `make flags` says: options of the compiler, of the linker, and of the linker for a program.
local function flags()
  local lines = {}
  for line in run("make -s flags"):gmatch "[^\n]+" do lines[#lines + 1] = line end
  assert.equal(3, #lines, table.concat(lines, "\n"))
  return unpack(lines)
end

-- The program built with these flags.
local function build(compile, link)
  local out, code = run("cd %s && gcc -O2 -g -fPIC %s -c small.c -o small.o && gcc -o small small.o %s", folder,
    compile, link)
  assert.equal(0, code, out)
end

local function without(text, flag)
  local from, to = text:find(flag, 1, true)
  assert(from, text .. " has no " .. flag)
  return text:sub(1, from - 1) .. text:sub(to + 1)
end

describe("a hardened build", function()
  local compile, link, link_program

  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
    local file = assert(io.open(folder .. "/small.c", "w"))
    file:write(SOURCE)
    file:close()
    compile, link, link_program = flags()
  end)
  teardown(function() os.execute("rm -r " .. folder) end)

  it("has every measure in the program and each shared object", function()
    if program.build ~= "build" then return end -- sanitizers have their own checks, and are no release
    local out, code = run("scripts/dev/hardening.sh build/tidemill build/*.so")
    assert.equal("", out)
    assert.equal(0, code)
  end)

  it("has every measure in a small program that is built with its flags", function()
    build(compile, link .. " " .. link_program)
    assert.same({ "", 0 }, { run("scripts/dev/hardening.sh %s/small", folder) })
  end)

  it("is not taken for one when a flag of the compiler is missing", function()
    local seen = 0
    for flag in compile:gmatch "%S+" do
      if flag:find "^%-[fm]" then
        build(without(compile, flag), link .. " " .. link_program)
        local out, code = run("scripts/dev/hardening.sh %s/small", folder)
        assert.equal(1, code, flag)
        assert.equal(("%s/small: has 1 of 1 compile units without %s\n"):format(folder, flag), out)
        seen = seen + 1
      end
    end
    assert.is_true(seen >= 3)
    build((compile:gsub("%-D_FORTIFY_SOURCE=%d", "")), link .. " " .. link_program)
    assert.matches("calls nothing that checks its bounds", (run("scripts/dev/hardening.sh %s/small", folder)))
  end)

  -- What is a default of the linker is there without its flag too, so the flag's opposite takes its place.
  it("is not taken for one when the linker does not do its part", function()
    for flag, found in pairs { ["-no-pie"] = "is not position independent",
      ["-Wl,-z,norelro"] = "lets its relocated data", ["-Wl,-z,lazy"] = "binds functions when they are first called",
      ["-Wl,-z,execstack"] = "a stack that can be executed" } do
      build(compile, ("%s %s %s"):format(link, flag == "-no-pie" and "" or link_program, flag))
      local out, code = run("scripts/dev/hardening.sh %s/small", folder)
      assert.matches(found, out, 1, true)
      assert.equal(1, code)
    end
  end)

  it("ends a program that writes behind a block whose length is known only when it runs", function()
    build(compile, link .. " " .. link_program)
    local out = run("%s/small", folder)
    assert.matches("buffer overflow detected", out)
    build((compile:gsub("%-D_FORTIFY_SOURCE=3", "-D_FORTIFY_SOURCE=2")), link .. " " .. link_program)
    assert.is_nil(run("%s/small", folder):find("buffer overflow detected", 1, true))
  end)
end)
