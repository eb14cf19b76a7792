-- SPDX-License-Identifier: MIT
-- README's blocks as they stand: what a new user copies works, line by line.
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

local blocks = blocks_of(files.read "README.md")

-- The one block of this language that has the text.
local function block(language, part)
  local found
  for _, one in ipairs(blocks) do
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
    local wanted = '{"level":"info","v":42,"seen":true}\n{"level":"warning","text":"no value","seen":true}\n'
    for _, part in ipairs { "--input events.jsonl", "zcat", "--mock-kafka" } do
      local line = line_of(script, part):gsub("#.*", "")
      code, out = run(folder, "gzip -kf events.jsonl; " .. line .. " --log-level error | sort")
      assert.same({ 0, wanted }, { code, out }, line)
    end
    code, out = run(folder, "tidemill run clean_events.lua --input events.jsonl --report report.json")
    assert.equal(0, code, out)
    assert.matches("produced 2, filtered 1, dead letters 0", out)
  end)

  it("README has a transform that goes on with null, no object, and lines of Windows", function()
    local code, out = run(folder, [[printf 'null\n5\n"x"\n[]\n{"level":"info"}\r\n{"value":"x"}\n' |
      tidemill run clean_events.lua --input - --log-level error]])
    assert.same({ 0, 'null\n5\n"x"\n[]\n{"level":"info","seen":true}\r\n{"value":"x","seen":true}\n' }, { code, out })
  end)

  it("README has a new pipeline whose tests pass, and a spec that runs as it stands", function()
    local script = block("", "tidemill new orders")
    local code, out = run(folder, script)
    assert.equal(0, code, out)
    assert.matches("3 successes / 0 failures / 0 errors", out)
    assert.matches('"seen":true', out)
    local spec = block("lua", 'require "tidemill.testing"')
    write(folder .. "/orders/" .. spec:match "^%-%- (%S+_spec%.lua)\n", spec)
    code, out = run(folder, "cd orders && tidemill test")
    assert.equal(0, code, out)
    assert.matches("1 success / 0 failures / 0 errors", out)
    code, out = run(folder, "mkdir spec; cp orders/spec/transform_spec.lua spec; tidemill test")
    assert.equal(0, code, out) -- the transform of README passes it too
  end)

  it("README has a source for a cluster that a pipeline takes", function()
    write(folder .. "/cluster.lua", 'local tide = require "tidemill"\nreturn tide.pipeline "x" {\n'
      .. block("lua", "security.protocol") .. 'tide.produce { topic = "out" }, tide.commit_offsets {} }\n')
    local code, out = run(folder, "HOSTNAME=one tidemill plan cluster.lua")
    assert.equal(0, code, out)
    assert.matches("SCRAM", out)
  end)

  it("README names flags, commands and files that there are", function()
    local text = files.read "README.md"
    for verb in text:gmatch "\ntidemill (%l+)" do
      assert.equal(0, (run(folder, "tidemill help " .. verb)), verb)
    end
    local help = select(2, run(folder, "for v in run check record test top doctor profile tap try tune; do "
      .. "tidemill $v --help; done; "
      .. "for a in list show replay drop; do tidemill dlq $a --help; done"))
    for flag in text:gmatch "[`%s](%-%-[%l-]+)" do
      assert.is_truthy(help:find(flag, 1, true), flag)
    end
    for path in text:gmatch "%]%(([^)#:]+)#?[^):]*%)" do
      local file = io.open(path)
      assert.is_truthy(file, path)
      if file then file:close() end
    end
  end)
end)
