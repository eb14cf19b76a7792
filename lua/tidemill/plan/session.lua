-- SPDX-License-Identifier: MIT
-- plan/session.lua: keeps what is gathered while one pipeline file is loaded: the parameters that it asks for, the
-- paths of its secrets, its lookup tables and tables, and faults. Steps and settings (init.lua) write to the session
-- that is current; while no file is loaded there is none.
local nearest = require("tidemill.plan.nearest")

local session = { current = nil }
local Session = {}
Session.__index = Session

--- `set`: the values of --set by name.
function session.new(set)
  return setmetatable({ set = set or {}, asked = {}, faults = {}, secrets = {}, lookups = {}, tables = {} }, Session)
end

--- Keeps a fault: `where` has file and line (line may be nil); the text as string.format takes it.
function Session:fault(where, text, ...)
  if select("#", ...) > 0 then text = text:format(...) end
  local place = where.line and where.file .. ":" .. where.line or where.file
  table.insert(self.faults, { line = where.line or 0, order = #self.faults, text = place .. ": " .. text })
end

--- Returns the texts of all faults in the order of their lines, each text once.
function Session:fault_texts()
  table.sort(self.faults, function(a, b)
    if a.line ~= b.line then return a.line < b.line end
    return a.order < b.order
  end)
  local texts, seen = {}, {}
  for _, fault in ipairs(self.faults) do
    if not seen[fault.text] then texts[#texts + 1] = fault.text end
    seen[fault.text] = true
  end
  return texts
end

-- Stands for a value that could not be had and was reported already, so that nothing else complains.
local Absent = { __concat = function(a, b) return session.is_absent(a) and a or b end }
Absent.__tostring = function() return "absent" end
session.absent = setmetatable({}, Absent)

function session.is_absent(value)
  return rawequal(value, session.absent)
end

-- --set gives strings; the type of the default decides what they become.
local function as_type_of(text, default)
  if type(default) == "number" then return tonumber(text) end
  if type(default) == "boolean" then
    if text == "true" then return true end
    if text == "false" then return false end
    return nil
  end
  return text
end

--- tide.param: returns the value of --set, or else the default.
function Session:param(where, name, default)
  if not self.asked[name] then table.insert(self.asked, name) end
  self.asked[name] = true
  local text = self.set[name]
  if text == nil and default == nil then
    self:fault(where, 'parameter "%s": not set and without default; add --set %s=VALUE', name, name)
    return session.absent
  elseif text == nil then
    return default
  end
  local value = as_type_of(text, default)
  if value == nil then
    self:fault(where, 'parameter "%s" = "%s": not a %s, as its default is', name, text, type(default))
    return session.absent
  end
  return value
end

--- Returns a line for each --set that nothing asked for.
function Session:unasked()
  local lines = {}
  local known = #self.asked > 0 and "it asks for " .. table.concat(self.asked, ", ") or "it asks for none"
  for name in pairs(self.set) do
    if not self.asked[name] then
      local hint = nearest.hint(name, self.asked)
      lines[#lines + 1] = string.format('--set %s: the pipeline has no such parameter, %s%s', name, known, hint)
    end
  end
  table.sort(lines)
  return lines
end

return session
