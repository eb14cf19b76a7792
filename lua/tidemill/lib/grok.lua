-- SPDX-License-Identifier: MIT
-- lib/grok.lua: tide.grok, texts taken apart by named patterns, which are compiled to one pattern of PCRE2 each.
--   match(text, pattern[, definitions]) -> a table by field, nil when it does not match; nil and the reason when it
--     matches and a number of it cannot be kept, or a field has two values. A part of the text that did not take part
--     has no field.
-- %{NAME} is a pattern of lib/grok_patterns.lua or of definitions = { NAME = "expression" }; %{NAME:field} is kept as
-- field, %{NAME:field:int} as an exact integer, %{NAME:field:float} as a number. The rest is an expression of PCRE2,
-- whose groups (?<field>...) are kept too. A pattern is not anchored: write ^ and $ for the whole text.
local arguments = require("tidemill.lib.arguments")
local integers = require("tidemill.run.integer")
local library = require("tidemill.lib.library")
local patterns = require("tidemill.lib.grok_patterns")
local pcre = require("tidemill.lib.pcre")

local grok = {}

library.load("grok", "libpcre2-8.so.0", "libpcre2-8-0", "") -- for the error that names tide.grok

local DEEPEST, LONGEST, MOST = 50, 2 ^ 20, 1000
local TYPES = { int = true, float = true, string = true }

-- An integer exactly: a number up to 2^53, else an int64; nil beyond.
local function integer_of(text)
  local sign, digits = text:match "^([+-]?)0*(%d+)$"
  if not digits or #digits > 19 then return nil end
  if #digits <= 15 then return (tonumber(sign .. digits)) end
  if #digits == 19 and digits > (sign == "-" and "9223372036854775808" or "9223372036854775807") then return nil end
  local value = 0LL
  for i = 1, #digits do value = value * 10 + (digits:byte(i) - 48) end
  if sign == "-" then value = -value end
  if value <= 0x20000000000000LL and value >= -0x20000000000000LL then return tonumber(value) end
  return integers.given(value)
end

local function float_of(text)
  if not text:find "^[+-]?%.?%d" or text:find "[xXnNpP]" then return nil end
  local value = tonumber((text:gsub("^%+", "")))
  return value and value > -math.huge and value < math.huge and value or nil
end

local CONVERT = { int = integer_of, float = float_of }

local function refuse(text, ...)
  error({ text:format(...) }, 0)
end

-- Replaces %{...} by groups, and adds the fields to `fields`; `path` has the names that are being expanded.
local function expand(pattern, definitions, fields, path)
  if #path > DEEPEST then refuse("patterns are nested deeper than %d: %s", DEEPEST, table.concat(path, " > ", 1, 5)) end
  return (pattern:gsub("%%{([^}]*)}", function(inside)
    local name, field, kind = inside:match "^([%w_]+):?([^:]*):?([^:]*)$"
    local definition = name and (definitions and definitions[name] or patterns[name])
    if not definition then refuse("no pattern %%{%s}", inside) end
    if type(definition) ~= "string" then refuse("the definition of %s is no text", name) end
    if kind ~= "" and not TYPES[kind] then refuse("%%{%s}: a field is int, float or string", inside) end
    for _, outer in ipairs(path) do
      if outer == name then refuse("%%{%s} is defined by itself", name) end
    end
    path[#path + 1] = name
    local expression = expand(definition, definitions, fields, path)
    path[#path] = nil
    if #expression > LONGEST then refuse("an expression of more than %d bytes", LONGEST) end
    if field == "" then return "(?:" .. expression .. ")" end
    fields[#fields + 1] = { name = field, convert = CONVERT[kind] }
    -- A group of PCRE2 has no name such as "user.id": it gets a number, and the field its text.
    return ("(?<tide_%d>%s)"):format(#fields, expression)
  end))
end

local function compile(pattern, definitions)
  local fields = {}
  local expression = expand(pattern, definitions, fields, {})
  local groups = {}
  local one = pcre.get(expression)
  for i, group in ipairs(pcre.names(one)) do
    local field = fields[tonumber(group.text:match "^tide_(%d+)$")]
    groups[i] = { number = group.group, name = field and field.name or group.text, convert = field and field.convert }
  end
  return { code = one, groups = groups }
end

local kept, count = {}, 0
local of_definitions = setmetatable({}, { __mode = "k" }) -- definitions -> pattern -> compiled

-- Must be called by the function that the script calls.
local function get(pattern, definitions)
  local of = definitions and of_definitions[definitions] or not definitions and kept
  local found = of and of[pattern]
  if found then return found end
  if definitions ~= nil and type(definitions) ~= "table" then
    error("tide.grok.match takes a table of definitions, got " .. arguments.shown(definitions), 3)
  end
  local ok, compiled = pcall(compile, pattern, definitions)
  if not ok then
    local problem = type(compiled) == "table" and compiled[1] or tostring(compiled):gsub("^.-tide%.regex: ", "")
    error("tide.grok: " .. problem, 3)
  end
  if count == MOST then
    kept, count = {}, 0
    for table_of in pairs(of_definitions) do of_definitions[table_of] = nil end
  end
  if definitions then
    of = of_definitions[definitions] or {}
    of_definitions[definitions] = of
  else
    of = kept
  end
  of[pattern], count = compiled, count + 1
  return compiled
end

function grok.match(text, pattern, definitions)
  arguments.text(text, "tide.grok.match")
  arguments.text(pattern, "tide.grok.match, as a pattern,")
  local one = get(pattern, definitions)
  if not pcre.run(one.code, text, 0, 0) then return nil end
  local found = {}
  for i = 1, #one.groups do
    local group = one.groups[i]
    local value = pcre.capture(one.code, text, group.number)
    if value and group.convert then
      local number = group.convert(value)
      if number == nil then
        return nil, ("grok: %s is no number that can be kept: %s"):format(group.name, arguments.shown(value))
      end
      value = number
    end
    local before = found[group.name]
    if before ~= nil and value ~= nil and before ~= value then
      return nil, ("grok: %s is there twice: %s and %s"):format(group.name, arguments.shown(before),
        arguments.shown(value))
    end
    if value ~= nil then found[group.name] = value end
  end
  return found
end

return grok
