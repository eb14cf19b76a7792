-- SPDX-License-Identifier: MIT
local units = require "tidemill.plan.units"

local function refuses(parse, values)
  for _, value in ipairs(values) do
    local number, reason = parse(value)
    assert.is_nil(number, tostring(value))
    assert.is_string(reason)
  end
end

describe("a size", function()
  it("a size is bytes, or a number with its unit", function()
    for written, bytes in pairs { [0] = 0, [1024] = 1024, ["1024"] = 1024, ["16MiB"] = 2 ^ 24, ["1.5KiB"] = 1536,
      ["2GiB"] = 2 ^ 31, ["5 MB"] = 5e6, ["3kB"] = 3000, ["7B"] = 7, ["-1KiB"] = -1024 } do
      assert.equal(bytes, (units.size(written)), tostring(written))
    end
  end)

  it("a size is refused with the way to write it", function()
    refuses(units.size, { "16M", "16mib", "MiB", "", "1e3", "0x10", "1.0001KiB", "16 MiB extra", 1.5, 0 / 0,
      math.huge, true, {} })
    assert.equal('not a size; write bytes, or a number with KiB, MiB or GiB, as "16MiB"',
      select(2, units.size("16M")))
  end)

  it("a size is shown in the largest whole unit", function()
    assert.equal("64MiB", units.show_size(2 ^ 26))
    assert.equal("1000KiB", units.show_size(1024000))
    assert.equal("1000", units.show_size(1000))
    assert.equal("0", units.show_size(0))
  end)
end)

describe("a time", function()
  it("a time is seconds, or a number with its unit, and becomes microseconds", function()
    for written, microseconds in pairs { [1] = 1e6, [0.5] = 5e5, ["2"] = 2e6, ["500ms"] = 5e5, ["1s"] = 1e6,
      ["10us"] = 10, ["2min"] = 12e7, ["1h"] = 36e8, ["1d"] = 864e8, ["0.25s"] = 25e4 } do
      assert.equal(microseconds, (units.time(written)), tostring(written))
    end
  end)

  it("a time is refused with the way to write it", function()
    refuses(units.time, { "1 sek", "fast", "", "1m", "ms", 0 / 0, math.huge, false })
  end)

  it("a time is shown in the largest whole unit", function()
    assert.equal("500ms", units.show_time(5e5))
    assert.equal("25s", units.show_time(25e6))
    assert.equal("2min", units.show_time(12e7))
    assert.equal("0s", units.show_time(0))
  end)
end)

describe("a moment", function()
  -- expected values from date -u -d ... +%s%3N
  it("a moment is milliseconds since the epoch", function()
    for written, milliseconds in pairs {
      ["1970-01-01T00:00:00Z"] = 0,
      ["2026-01-31T12:00:00Z"] = 1769860800000,
      ["2000-02-29T23:59:59.999Z"] = 951868799999,
      ["2024-12-31T23:00:00-01:30"] = 1735691400000,
      ["1969-12-31T23:59:59Z"] = -1000,
      ["2026-01-31t12:00:00.25+00:00"] = 1769860800250,
    } do
      assert.equal(milliseconds, (units.moment(written)), written)
    end
  end)

  it("a moment is refused when a field is out of range or the zone is missing", function()
    refuses(units.moment, { "2026-01-31", "2026-01-31T12:00:00", "2026-02-29T12:00:00Z", "2026-13-01T00:00:00Z",
      "2026-01-00T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:00.Z",
      "2026-01-01T00:00:00+2:00", "2026-01-01T00:00:00+24:00", 5, "yesterday" })
  end)
end)

describe("a count", function()
  it("a count is a whole number", function()
    assert.equal(5, (units.count(5)))
    assert.equal(5, (units.count("5")))
    assert.equal(-5, (units.count(-5)))
    refuses(units.count, { 1.5, "x", "1e3", "", 0 / 0, math.huge, 2 ^ 60, true })
  end)
end)
