-- SPDX-License-Identifier: MIT
-- Where the processor has no AVX2, simdjson finds the tokens: the other specs of this folder hold there as well.
local ffi = require 'ffi'
local process = require 'spec.support.process'

describe('on a processor without AVX2', function()
  after_each(process.stop_all)

  for _, name in ipairs { 'corpus', 'view', 'table', 'random' } do
    it('all of ' .. name .. '_spec.lua holds', function()
      if ffi.arch ~= 'x64' then return pending 'the other specs have shown it: there is no AVX2' end
      local code, stdout = process.run({ 'sh', '-c', 'exec luajit "$(command -v busted)" --ignore-lua ' ..
        ('spec/unit/json/%s_spec.lua'):format(name) },
        { env = { SIMDJSON_FORCE_IMPLEMENTATION = 'fallback', TIDE_JSON_DOCUMENTS = '2000' } })
      assert.equal(0, code, stdout)
    end)
  end
end)
