-- SPDX-License-Identifier: MIT
-- The number by which `tidemill reload` asks for a canary.
local canary = require "tidemill.cli.canary"
local units = require "tidemill.plan.units"

describe("the number of a canary", function()
  it("keeps share and comparison, and without a share takes that of the pipeline, or all", function()
    for _, share in ipairs { 0, 0.0001, 0.05, 0.5, 1 } do
      for _, compare in ipairs { true, false } do
        assert.same({ share = share, compare = compare }, canary.decode(canary.encode(share, compare), 0.2))
      end
    end
    assert.equal(0, canary.encode(nil, nil))
    assert.same({ share = 0.2, compare = true }, canary.decode(canary.encode(nil, true), 0.2))
    assert.same({ share = 1, compare = true }, canary.decode(canary.encode(nil, true), 0))
  end)

  it("means nothing when it is none, as any signal may bring one", function()
    for _, number in ipairs { 0, -1, -2 ^ 31, 2 ^ 17 + 10001, 2 ^ 18, 2 ^ 31 - 1 } do
      assert.is_nil(canary.decode(number, 0.2))
    end
  end)

  it("comes of a share as people write it", function()
    for text, share in pairs { ["5%"] = 0.05, ["0.05"] = 0.05, ["100%"] = 1, ["0"] = 0 } do
      assert.equal(share, units.share(text))
    end
    assert.equal(0.5, units.share(0.5))
    for _, text in ipairs { "", "%", "five", "5 %%", "5 percent" } do assert.is_nil((units.share(text))) end
  end)
end)
