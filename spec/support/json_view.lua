-- SPDX-License-Identifier: MIT
-- What specs of the JSON view ask again and again. Call json.reset in after_each.
local assert = require 'luassert'
local json = require 'tidemill.run.json'

local json_view = {}

--- What `fn` makes of a document: its text after the edits.
function json_view.edited(text, fn)
  fn(json.open_copy(text))
  local result = json.text()
  json.reset()
  return result
end

--- Asserts that `fn` raises a text in which `pattern` is found.
function json_view.refuses(pattern, fn, ...)
  local ok, problem = pcall(fn, ...)
  assert.is_false(ok)
  assert.truthy(tostring(problem):find(pattern), problem)
end

return json_view
