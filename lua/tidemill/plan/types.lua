-- SPDX-License-Identifier: MIT
-- plan/types.lua: knows the types of options: how each is read from what was written, and how it is shown.
local nearest = require("tidemill.plan.nearest")
local declaration = require("tidemill.plan.declaration")
local secret = require("tidemill.plan.secret")
local session = require("tidemill.plan.session")
local units = require("tidemill.plan.units")

local types = {}

--- Types whose values may be secrets: they are resolved when the engine connects.
types.late = { brokers = true, properties = true }

--- Returns a value as a fault shows it: at most 60 bytes, and never a secret.
function types.quote(value)
  if secret.is(value) then return tostring(value) end
  if declaration.is(value) then return tostring(value) end
  if type(value) == "string" then
    local text = #value > 60 and value:sub(1, 57) .. "..." or value
    return '"' .. text:gsub("[%c\"\\]", function(c)
      return c == "\n" and "\\n" or (c == '"' or c == "\\") and "\\" .. c or ("\\%03d"):format(c:byte())
    end) .. '"'
  end
  if type(value) == "table" then return "{...}" end
  if type(value) == "number" then return (("%.14g"):format(value)) end
  if type(value) == "function" then return "function" end
  return tostring(value)
end

local function wrong(wanted, value)
  return nil, ("must be %s, not a %s"):format(wanted, declaration.is(value) and tostring(value) or type(value))
end

local parsers = {}

function parsers.string(_, value)
  if type(value) ~= "string" then return wrong("a text", value) end
  if value == "" then return nil, "is empty" end
  if value:find("%z") then return nil, "has a zero byte" end
  return value
end

function parsers.strings(option, value)
  if type(value) == "string" then value = { value } end
  if type(value) ~= "table" or declaration.is(value) then return wrong("a text or a list of texts", value) end
  local strings = {}
  for key in pairs(value) do
    if type(key) ~= "number" or key < 1 or key > #value then return nil, "must be a list without gaps" end
  end
  for i, item in ipairs(value) do
    local text, reason = item, nil
    if secret.is(item) then text, reason = item:resolve() end
    if not reason then text, reason = parsers.string(option, text) end
    if reason then return nil, ("value %d %s"):format(i, reason) end
    strings[i] = text
  end
  if #strings == 0 then return nil, "is empty" end
  return strings
end

-- Brokers are one text with commas, a list of texts, or a secret that becomes such a text.
function parsers.brokers(option, value)
  if type(value) == "table" and not secret.is(value) and not declaration.is(value) then
    local joined
    for key in pairs(value) do
      if type(key) ~= "number" or key < 1 or key > #value then return nil, "must be a list without gaps" end
    end
    for i, item in ipairs(value) do
      if type(item) ~= "string" and not secret.is(item) then return nil, ("value %d must be a text"):format(i) end
      joined = joined and joined .. "," .. item or item
    end
    if joined == nil then return nil, "is empty" end
    value = joined
  end
  if secret.is(value) then return value end
  return parsers.string(option, value)
end

function parsers.boolean(_, value)
  if type(value) ~= "boolean" then return wrong("true or false", value) end
  return value
end

parsers["function"] = function(_, value)
  if type(value) ~= "function" then return wrong("a function", value) end
  return value
end

--- Takes a value that all batches may share, or a function that makes one.
function parsers.initial(_, value)
  if type(value) == "table" or type(value) == "userdata" or type(value) == "thread" then
    return nil, "would be the same one each time; write function() return {} end"
  end
  return value
end

--- Takes a table of the options that it has; schema.lua checks these.
function parsers.table(option, value)
  local names = {}
  for i, inner in ipairs(option.options) do names[i] = inner.name .. " = ..." end
  return wrong("a table { " .. table.concat(names, ", ") .. " }", value)
end

local function number_type(parse, wanted)
  return function(_, value)
    if type(value) ~= "number" and type(value) ~= "string" then return wrong(wanted, value) end
    return parse(value)
  end
end

parsers.count = number_type(units.count, "a whole number")
parsers.number = number_type(units.number, "a number")
parsers.share = number_type(units.share, 'a share (0.05, or as "5%")')
parsers.size = number_type(units.size, 'a size (bytes, or as "16MiB")')
parsers.time = number_type(units.time, 'a time (seconds, or as "500ms")')

function parsers.choice(option, value)
  local known = {}
  for i, name in ipairs(option.values) do known[i] = '"' .. name .. '"' end
  if option.options then known[#known + 1] = "a table" end
  if type(value) ~= "string" then return wrong(table.concat(known, " or "), value) end
  return nil, "unknown; it is " .. table.concat(known, " or ") .. nearest.hint(value, option.values)
end

--- Where reading of a partition begins: { kind = enum name, at = offset or milliseconds }.
function parsers.start(_, value)
  if value == "earliest" then return { kind = "TIDE_START_EARLIEST", at = 0, text = value } end
  if value == "latest" then return { kind = "TIDE_START_LATEST", at = 0, text = value } end
  local offset = units.count(value)
  if offset and offset >= 0 then return { kind = "TIDE_START_OFFSET", at = offset, text = ("%.0f"):format(offset) } end
  local moment = units.moment(value)
  if moment and moment >= 0 then return { kind = "TIDE_START_TIME", at = moment, text = value } end
  return nil, 'must be "earliest", "latest", an offset (0 or more), or a moment as "2026-01-31T12:00:00Z"'
end

-- "HOST:PORT", "[::1]:PORT", or a port alone, which is one of 127.0.0.1. Port 0 only where the option says so.
local function address_of(option, text)
  if option.off and text == "off" then return { off = true, text = text } end
  local host, port = text:match("^%[([%x:.]+)%]:(%d+)$")
  if not host then host, port = text:match("^([^:/%s]+):(%d+)$") end
  if not host and text:find("^:?%d+$") then host, port = "127.0.0.1", text:match("%d+") end
  port = tonumber(port)
  if not host or port > 65535 or port == 0 and not option.any_port then return nil end
  return { host = host, port = port, text = (host:find(":") and "[%s]:%d" or "%s:%d"):format(host, port) }
end

-- The texts of a list of hosts, or why it is none. A port alone is no host, and there are no patterns.
local function hosts_of(list)
  local texts = {}
  for i, item in ipairs(list) do
    local address = item:find("^[%w%-%._%[%]:]+:%d+$") and address_of({}, item)
    if not address then
      return nil, ('value %d = %s: must be "HOST:PORT", as "db.example.com:5432"'):format(i, types.quote(item))
    end
    texts[i] = address.text
  end
  return texts
end

--- True, false, or the list of "HOST:PORT" that is open.
function parsers.network(option, value)
  if type(value) == "boolean" then return value end
  if type(value) == "string" then value = { value } end
  if type(value) ~= "table" or declaration.is(value) or secret.is(value) then
    return wrong('true, false or a list of "HOST:PORT"', value)
  end
  local texts, reason = parsers.strings(option, value)
  if not texts then return nil, reason end
  return hosts_of(texts)
end

--- { host, port, text }
function parsers.address(option, value)
  if type(value) == "number" then value = ("%.14g"):format(value) end
  if type(value) ~= "string" then return wrong("an address", value) end
  local address = address_of(option, value)
  if not address then return nil, 'not an address; write HOST:PORT, as "127.0.0.1:9464", or a port alone' end
  return address
end

--- The labels that metrics have themselves (spec/unit/lua/metrics/prometheus_spec.lua compares), and those of
--- Prometheus.
types.metric_labels = { pipeline = true, step = true, topic = true, partition = true, reason = true, cause = true,
  kind = true, callback_name = true, status = true, spent = true, limit = true, version = true, le = true,
  quantile = true }

--- A list of { name, value } in the order of the names.
function parsers.tags(_, value)
  if type(value) ~= "table" or declaration.is(value) or secret.is(value) then
    return wrong('a table of names and values, as { region = "eu" }', value)
  end
  local tags = {}
  for name, item in pairs(value) do
    if type(name) ~= "string" or not name:find("^[%a_][%w_]*$") or name:find("^__") then
      return nil, ("the name %s must be letters, digits and _, and begin with a letter"):format(types.quote(name))
    end
    if types.metric_labels[name] then return nil, ("the metrics have a label %s themselves"):format(name) end
    if type(item) == "number" or type(item) == "boolean" then item = tostring(item) end
    if type(item) ~= "string" or item == "" or item:find("[%c|,#]") then
      return nil, ('the value of %s must be a text without "|", ",", "#" and control characters'):format(name)
    end
    tags[#tags + 1] = { name = name, value = item }
  end
  table.sort(tags, function(a, b) return a.name < b.name end)
  return tags
end

local function property(option, name, value)
  if type(name) ~= "string" then return nil, "must be a table of names and values" end
  local instead = option.refused and option.refused[name]
  if instead then return nil, ("%s is an option of its own: %s"):format(name, instead) end
  if secret.is_name(name) and (not secret.is(value) or value:has_default()) then
    return nil, ("the value of %s stands in clear in the file or on the command line, where others may read it; write "
      .. 'tide.secret_file "PATH", tide.env "NAME" without a default, or tide.credential "NAME"'):format(name)
  end
  if secret.is(value) then return value end
  if type(value) == "number" then return ("%.14g"):format(value) end
  if type(value) == "boolean" then return tostring(value) end
  if type(value) == "string" then return value end
  return nil, ("property %s must be a text, a number or a boolean, not a %s"):format(name, type(value))
end

--- Returns a list of { name, value } in the order of the names; a value may be a secret.
function parsers.properties(option, value)
  if type(value) ~= "table" or declaration.is(value) or secret.is(value) then
    return wrong('a table of librdkafka properties, as { ["linger.ms"] = 5 }', value)
  end
  local properties = {}
  for name, item in pairs(value) do
    if not session.is_absent(item) then
      local text, reason = property(option, name, item)
      if not text then return nil, reason end
      properties[#properties + 1] = { name = name, value = text }
    end
  end
  table.sort(properties, function(a, b) return a.name < b.name end)
  return properties
end

function parsers.setting(option, value)
  if not declaration.is(value) or value.spec.name ~= option.setting then
    return wrong(("tide.%s { ... }"):format(option.setting), value)
  end
  return value
end

--- Returns the value that the engine needs, or nil and the reason.
function types.parse(option, value)
  return parsers[option.type](option, value)
end

--- Returns the value in force when the option is left out; nil when there is none.
function types.default(option)
  if type(option.default) == "string" and option.type ~= "choice" and option.default ~= (option.also or {})[1] then
    return (parsers[option.type](option, option.default))
  end
  return option.default
end

--- Returns the values without a name: functions, and paths of transform files.
function types.positional(positional, arguments, report)
  local functions, count = {}, table.maxn(arguments)
  for key, value in pairs(arguments) do
    if type(key) ~= "string" and (type(key) ~= "number" or key < 1 or key % 1 ~= 0) then
      report("value [%s] = %s: functions stand in a list, from 1 on", tostring(key), types.quote(value))
    end
  end
  for i = 1, count do
    local value = arguments[i]
    if type(value) == "string" and value ~= "" then
      functions[#functions + 1] = { kind = "file", path = value }
    elseif type(value) == "function" then
      functions[#functions + 1] = value
    elseif not session.is_absent(value) then
      report("function %d = %s: must be a function or the path of a Lua file%s", i, types.quote(value),
        type(value) == "table" and "; a table of hooks (init, start, process, batch, close) is what that file returns"
          or "")
    end
  end
  if positional.one and count > 1 then report("function 2: there is only one accumulator") end
  if count == 0 and positional.required then report("no function: name a Lua file or write a function") end
  return functions
end

local function show_properties(properties)
  local texts = {}
  for i, item in ipairs(properties) do
    local value = secret.is_hidden(item.name) and "[redacted]" or tostring(item.value)
    texts[i] = item.name .. "=" .. value
  end
  return #texts > 0 and table.concat(texts, ", ") or "none"
end

local shown = {
  size = units.show_size,
  time = units.show_time,
  strings = function(value) return table.concat(value, ", ") end,
  start = function(value) return value.text end,
  properties = show_properties,
  address = function(value) return value.text end,
  network = function(value) return table.concat(value, ", ") end,
  tags = show_properties,
  count = function(value) return ("%.0f"):format(value) end,
  number = function(value) return ("%.14g"):format(value) end,
}

--- Returns a parsed value as the plan shows it.
function types.show(option, value)
  if type(value) == "table" and option.options then
    local parts = {}
    for _, inner in ipairs(option.options) do
      local part = value[inner.name]
      if part ~= nil then parts[#parts + 1] = inner.name .. " = " .. types.show(inner, part) end
    end
    return "{ " .. table.concat(parts, ", ") .. " }"
  end
  if type(value) == "string" or type(value) == "boolean" or secret.is(value) then return tostring(value) end
  if type(value) == "function" then return ("function in line %d"):format(debug.getinfo(value, "S").linedefined) end
  return shown[option.type] and shown[option.type](value) or tostring(value)
end

return types
