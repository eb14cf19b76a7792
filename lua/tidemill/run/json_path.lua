-- SPDX-License-Identifier: MIT
-- run/json_path.lua: where in a document a node is, as a script would write it, for errors: it walks the document.
local json_path = {}

--- How a key is written behind a view: ".name", '["a name"]', "[1]".
function json_path.part(key)
  if type(key) == "number" then return ("[%.14g]"):format(key) end
  return key:find "^[%a_][%w_]*$" and "." .. key or ('["%s"]'):format(key)
end

-- The path from a view to the one that is looked for; nil when it is not below the view.
local function way_to(view, is_view, each, is_wanted)
  if is_wanted(view) then return "" end
  for key, value in each(view) do
    local way = is_view(value) and way_to(value, is_view, each, is_wanted)
    if way then return json_path.part(key) .. way end
  end
end

--- The path from the root to the view for which is_wanted(view) is true: "json.items[1]".
function json_path.of(root, is_view, each, is_wanted)
  local found, way = pcall(way_to, root, is_view, each, is_wanted)
  return "json" .. (found and way or "")
end

return json_path
