-- SPDX-License-Identifier: MIT
-- plan/schema.lua: checks what a step or setting was called with against its option table (in steps/).
--
-- An option has name, type, help, and as needed unit, default, default_text (what a document says in its
-- place), required, min, max, above_zero, patterns (a text that begins with ^ is one), also (further texts it takes),
-- values and refused (choice), options (or a table of these), setting (type setting).
local ffi = require("ffi")
local foreign = require("tidemill.plan.foreign")
local nearest = require("tidemill.plan.nearest")
local declaration = require("tidemill.plan.declaration")
local secret = require("tidemill.plan.secret")
local session = require("tidemill.plan.session")
local tide = require("tidemill.run.ffi")
local types = require("tidemill.plan.types")

local schema = {}

local MOST_SHOWN = 10 -- options that a text lists

local function names_of(options)
  local names = {}
  for i, option in ipairs(options) do
    names[i] = option.name
    names[option.name] = option
  end
  return names
end

local function contains(list, value)
  for _, item in ipairs(list or {}) do
    if item == value then return true end
  end
  return false
end

-- Returns nil, or why the parsed number is out of bounds.
local function bounds(option, value)
  if type(value) ~= "number" then return nil end
  local show = function(number) return types.show(option, number) end
  if option.above_zero and value <= 0 then return "must be more than 0" end
  if option.min and value < option.min then
    return value <= 0 and option.min > 0 and "must be more than 0"
      or "too small, the least is " .. show(option.min)
  end
  if option.max and value > option.max then return "too large, the most is " .. show(option.max) end
end

-- Environment variables may stand anywhere, secret files only where a value is resolved late.
local function resolved(option, value)
  if not secret.is(value) or types.late[option.type] then return value end
  if not value:from_environment() then
    return nil, "a secret cannot stand here, only in brokers and rdkafka: it would be shown"
  end
  return value:resolve()
end

-- The texts that an option takes besides what its type says.
local function others(option)
  local texts = {}
  for i, text in ipairs(option.also or {}) do texts[i] = (', or "%s"'):format(text) end
  return table.concat(texts)
end

local check_options

local function parse(option, value, report)
  local reason
  value, reason = resolved(option, value)
  if reason then return nil, reason end
  if contains(option.also, value) or contains(option.values, value) then return value end
  if option.type == "choice" and option.refused and option.refused[value] then
    return nil, "refused: " .. option.refused[value]
  end
  if option.options and type(value) == "table" and not declaration.is(value) then
    local owner = { name = 'option "' .. option.name .. '"', prefix = option.name .. "." }
    return (check_options(option.options, value, owner, report))
  end
  local parsed
  parsed, reason = types.parse(option, value)
  if parsed == nil then return nil, reason .. (type(value) == "string" and others(option) or "") end
  return parsed, bounds(option, parsed)
end

-- What there is, where nothing is near: the names, or where they are told.
local function shown_names(names, owner)
  if #names == 0 then return "" end
  if #names <= MOST_SHOWN then return "; it takes " .. table.concat(names, ", ") end
  return owner.prefix and "" or ("; `tidemill help %s` lists what it takes"):format(owner.name)
end

-- A name that is not known, with what was probably meant.
local function hint(name, names, owner)
  local near = foreign.option(name, names) or nearest.hint(name, names)
  return near ~= "" and near or shown_names(names, owner)
end

local function check_unknown(options, arguments, owner, report)
  local names, given = names_of(options), {}
  for name in pairs(arguments) do given[#given + 1] = name end
  table.sort(given, function(a, b) return tostring(a) < tostring(b) end) -- the same texts each time
  for _, name in ipairs(given) do
    local value = arguments[name]
    if type(name) == "string" and not names[name] and not session.is_absent(value) then
      report('option "%s%s": unknown%s', owner.prefix or "", name, hint(name, names, owner))
    elseif type(name) ~= "string" and not owner.positional then
      report("value %s = %s: %s takes only options with a name", tostring(name), types.quote(value), owner.name)
    end
  end
end

-- Returns values by name (defaults included), and which were given.
function check_options(options, arguments, owner, report)
  local values, given = {}, {}
  check_unknown(options, arguments, owner, report)
  for _, option in ipairs(options) do
    local value, full = arguments[option.name], (owner.prefix or "") .. option.name
    if session.is_absent(value) then
      given[option.name] = true
    elseif value ~= nil then
      given[option.name] = true
      local parsed, reason = parse(option, value, report)
      if reason then
        report('option "%s" = %s: %s', full, types.quote(value), reason)
        parsed = nil
      end
      values[option.name] = parsed
    elseif option.required then
      report('option "%s": missing%s', full, option.missing and "; " .. option.missing or "")
    else
      values[option.name] = types.default(option)
    end
  end
  return values, given
end

-- Reports properties that librdkafka does not know, values that do not fit, and what would break a guarantee. A secret
-- is not fetched for this, so only the property's name is checked.
local function check_properties(options, values, report)
  for _, option in ipairs(options) do
    for _, property in ipairs(option.type == "properties" and values[option.name] or {}) do
      local value = property.value
      if secret.is(value) then value = nil end
      if tide.C.tide_kafka_property_check(property.name, value) < 0 then
        report('option "%s": %s', option.name, ffi.string(tide.C.tide_error()))
      end
    end
  end
end

-- Reports patterns of topics that the engine cannot use.
local function check_patterns(options, values, report)
  for _, option in ipairs(options) do
    local texts = option.patterns and values[option.name]
    for _, text in ipairs(type(texts) == "string" and { texts } or texts or {}) do
      if text:sub(1, 1) == "^" and tide.C.tide_kafka_pattern_check(text) < 0 then
        report('option "%s": pattern "%s": %s', option.name, text, ffi.string(tide.C.tide_error()))
      end
    end
  end
end

--- Checks one declaration. Returns {name, values, given, declaration}; faults go to the session.
function schema.check(use, current)
  local faulty = false
  local function report(text, ...)
    faulty = true
    current:fault(use, text, ...)
  end
  local spec, arguments = use.spec, use.arguments
  local checked = { name = spec.name, spec = spec, values = {}, given = {}, declaration = use, faulty = true }
  if session.is_absent(arguments) then return checked end
  checked.values, checked.given = check_options(spec.options, arguments, spec, report)
  if spec.positional then
    checked.values[spec.positional.name] = types.positional(spec.positional, arguments, report)
  end
  check_properties(spec.options, checked.values, report)
  check_patterns(spec.options, checked.values, report)
  if spec.complete then spec.complete(checked.values, checked.given) end
  if spec.check then
    local show = function(name) return types.show(names_of(spec.options)[name], checked.values[name]) end
    spec.check(checked.values, report, checked.given, show)
  end
  checked.faulty = faulty
  return checked
end

return schema
