-- SPDX-License-Identifier: MIT
-- The blocks of README and of the pages beside it as they stand: what a new user copies works, line by line.
local files = require "spec.house.files"
local pipeline_file = require "spec.support.pipeline_file"

local program = require("spec.support.program").path

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

-- { { language, text } ... } in order.
local function blocks_of(text)
  local blocks = {}
  for language, block in text:gmatch "\n```(%l*)\n(.-)\n```" do blocks[#blocks + 1] = { language, block .. "\n" } end
  return blocks
end

local PAGES = { "README.md", "docs/transforms.md", "docs/testing.md", "docs/dead-letters.md", "docs/delivery.md",
  "docs/cluster.md", "docs/arroyo.md", "docs/compare.md" }

-- The one block of this language that has the text, of README or of another page.
local function block(language, part, page)
  local found
  for _, one in ipairs(blocks_of(files.read(page or "README.md"))) do
    if one[1] == language and one[2]:find(part, 1, true) then
      assert(not found, "two blocks have " .. part)
      found = one[2]
    end
  end
  return assert(found, "no block has " .. part)
end

-- Exit code and output of a shell script in a folder, with `tidemill` at hand.
local function run(folder, script)
  local pipe = io.popen(("cd '%s' && export PATH='%s':\"$PATH\" && { %s\n} 2>&1; echo \"code=$?\""):format(folder,
    program:match "^(.*)/", script))
  local text = pipe:read "*a"
  pipe:close()
  local out, code = text:match "^(.*)code=(%d+)\n$"
  return tonumber(code), out
end

local function line_of(script, part)
  for line in script:gmatch "[^\n]+" do
    if line:find(part, 1, true) then return line end
  end
  error("no line has " .. part)
end

describe("README", function()
  local folder

  before_each(function()
    folder = pipeline_file.folder()
    for _, file in ipairs { { "lua", "clean_events.lua" }, { "lua", "transform.lua" } } do
      write(folder .. "/" .. file[2], block(file[1], "-- " .. file[2] .. "\n"))
    end
    write(folder .. "/events.jsonl", block("json", '"level":"debug"'))
  end)
  after_each(pipeline_file.remove_all)

  it("README has a pipeline, a transform and events that go together, without a broker", function()
    local script = block("", "tidemill check clean_events.lua")
    local code, out = run(folder, line_of(script, "tidemill check"))
    assert.equal(0, code, out)
    assert.is_nil(out:find("warning", 1, true), out)
    local wanted = block("json", '"v":42')
    for _, line in ipairs { (line_of(script, "--input events.jsonl"):gsub("#.*", "")),
      "zcat events.jsonl.gz | tidemill run clean_events.lua --input -",
      "tidemill run clean_events.lua --mock-kafka --feed events.jsonl" } do
      code, out = run(folder, "gzip -kf events.jsonl; " .. line .. " --log-level error | sort")
      assert.same({ 0, wanted }, { code, out }, line)
    end
    code, out = run(folder, "tidemill run clean_events.lua --input events.jsonl --report report.json")
    assert.equal(0, code, out)
    assert.matches("produced 2, filtered 1, dead letters 0", out)
  end)

  it("README says what becomes of a message that is no such event", function()
    for _, bad in ipairs { "5", "x" } do
      local code, out = run(folder, "printf '" .. bad
        .. [[\n{"level":"info"}\n' | tidemill run clean_events.lua --input -]])
      assert.equal(0, code, out)
      assert.is_truthy(out:find('{"level":"info","seen":true}\n', 1, true), out)
      assert.matches('"error":"transform.lua:%d+: ', out)
    end
  end)

  it("docs/transforms.md has a transform that goes on with null, no object, and lines of Windows", function()
    write(folder .. "/transform.lua", block("lua", "-- transform.lua\n", "docs/transforms.md"))
    local code, out = run(folder, [[printf 'null\n5\n"x"\n[]\n{"level":"info"}\r\n{"value":"x"}\n' |
      tidemill run clean_events.lua --input - --log-level error]])
    assert.same({ 0, 'null\n5\n"x"\n[]\n{"level":"info","seen":true}\r\n{"value":"x","seen":true}\n' }, { code, out })
  end)

  it("docs/testing.md has a new pipeline whose tests pass, and a spec that runs as it stands", function()
    local script = block("", "tidemill new orders", "docs/testing.md")
    local code, out = run(folder, script)
    assert.equal(0, code, out)
    assert.matches("3 successes / 0 failures / 0 errors", out)
    assert.matches('"seen":true', out)
    local spec = block("lua", 'require "tidemill.testing"', "docs/testing.md")
    write(folder .. "/orders/" .. spec:match "^%-%- (%S+_spec%.lua)\n", spec)
    code, out = run(folder, "cd orders && tidemill test")
    assert.equal(0, code, out)
    assert.matches("1 success / 0 failures / 0 errors", out)
    code, out = run(folder, "mkdir spec; cp orders/spec/transform_spec.lua spec; tidemill test")
    assert.equal(0, code, out) -- the transform of README passes it too
  end)

  it("docs/cluster.md has a source that a pipeline takes", function()
    write(folder .. "/cluster.lua", 'local tide = require "tidemill"\nreturn tide.pipeline "x" {\n'
      .. block("lua", "security.protocol", "docs/cluster.md")
      .. 'tide.produce { topic = "out" }, tide.commit_offsets {} }\n')
    local code, out = run(folder, "HOSTNAME=one tidemill plan cluster.lua")
    assert.equal(0, code, out)
    assert.matches("SCRAM", out)
  end)

  it("docs/arroyo.md has a pipeline that is one", function()
    write(folder .. "/arroyo.lua", block("lua", "-- tidemill", "docs/arroyo.md"))
    local code, out = run(folder, "tidemill check arroyo.lua")
    assert.equal(0, code, out)
  end)

  it("README and the pages beside it name flags, commands and files that there are", function()
    local help = select(2, run(folder, "for v in run check record test top doctor profile tap try tune; do "
      .. "tidemill $v --help; done; "
      .. "for a in list show replay drop; do tidemill dlq $a --help; done"))
    for _, page in ipairs(PAGES) do
      local text = files.read(page)
      for verb in text:gmatch "\ntidemill (%l+)" do
        assert.equal(0, (run(folder, "tidemill help " .. verb)), verb)
      end
      for flag in text:gmatch "[`%s](%-%-[%l-]+)" do
        assert.is_truthy(help:find(flag, 1, true), page .. ": " .. flag)
      end
      for path in text:gmatch "%]%(([^)#:]+)#?[^):]*%)" do
        local file = io.open((page:match "^.*/" or "") .. path)
        assert.is_truthy(file, page .. ": " .. path)
        if file then file:close() end
      end
    end
  end)
end)
