-- SPDX-License-Identifier: MIT
-- lib/url.lua: tide.url, URLs and references by RFC 3986. Nothing is decoded before it is taken apart.
--   parse(text) -> { scheme =, user =, password =, host =, port = (a number), path =, query =, fragment = }, as they
--     are written but for scheme and host in small letters; a part that is missing is nil, path is "" at least. The
--     host of an IPv6 address has its []. nil and the reason for what RFC 3986 does not allow.
--   build(parts) -> text
--   query(text) -> a table of names and texts, decoded, + as space; of a name that is there several times a list
--   build_query(table) -> text, by name
--   escape(text) -> %XX for all but letters, digits, - . _ ~      unescape(text) -> the bytes; nil and the reason
local arguments = require("tidemill.lib.arguments")
local check = require("tidemill.run.check")
local json = require("tidemill.run.json")
local marks = require("tidemill.run.marks")

local url = {}

local PARTS = { scheme = true, user = true, password = true, host = true, port = true, path = true, query = true,
  fragment = true }
local MOST_NAMES = 10000 -- of a query

-- ---- percent signs ----

local function escaped(text)
  return (text:gsub("[^%w._~-]", function(c) return ("%%%02X"):format(c:byte()) end))
end

-- nil and the byte of a percent sign without two hexadecimal digits.
local function unescaped(text)
  if not text:find("%", 1, true) then return text end
  local at = text:gsub("%%%x%x", "   "):find("%", 1, true)
  if at then return nil, at - 1 end
  return (text:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

function url.escape(text)
  arguments.text(text, "tide.url.escape")
  return (escaped(text))
end

function url.unescape(text)
  arguments.text(text, "tide.url.unescape")
  local bytes, at = unescaped(text)
  if not bytes then return nil, ("url: %% without two hexadecimal digits at byte %d"):format(at) end
  return bytes
end

-- ---- URLs ----

-- The bytes of each part beside letters, digits, %XX and - . _ ~ (RFC 3986, section 2 and 3), as a class of patterns.
local SUB = "!$&'()*+,;="
local ALLOWED = { user = SUB, password = SUB .. ":", host = SUB, path = SUB .. ":@/", query = SUB .. ":@/?",
  fragment = SUB .. ":@/?" }

for name, more in pairs(ALLOWED) do ALLOWED[name] = "[^%w._~%%" .. more:gsub("%W", "%%%0") .. "-]" end

-- What is wrong with a part; nil when nothing is.
local function problem_of(name, text)
  if name == "host" and text:find "^%[" then
    if not text:find "^%[[%x:.]+%]$" and not text:find "^%[v%x+%.[%w._~:!$&'()*+,;=-]+%]$" then
      return "no address of IPv6 in []"
    end
    return nil
  end
  local at = text:find(ALLOWED[name])
  if at then return ("%s has the byte 0x%02x, which has to be written as %%%02X"):format(name, text:byte(at),
    text:byte(at)) end
  if not unescaped(text) then return name .. " has a % without two hexadecimal digits" end
end

-- Fills in user, password, host and port; returns what is wrong.
local function read_authority(found, authority)
  local login, place = authority:match "^(.*)@([^@]*)$"
  if login then found.user, found.password = login:match "^([^:]*):?(.*)$" end
  if login and not login:find(":", 1, true) then found.password = nil end
  place = place or authority
  local host, port = place:match "^(%[[^%]]*%]):?(%d*)$"
  if not host then host, port = place:match "^([^:]*):?(%d*)$" end
  if not host then return "no host and port after //" end
  found.host = host:lower()
  if port ~= "" then
    found.port = tonumber(port)
    if #port > 5 or found.port > 65535 then return "the port is beyond 65535" end
  end
end

function url.parse(text)
  arguments.text(text, "tide.url.parse")
  local found, rest = {}, text
  local before, fragment = rest:match "^([^#]*)#(.*)$"
  rest, found.fragment = before or rest, fragment
  local path, query = rest:match "^([^?]*)%?(.*)$"
  rest, found.query = path or rest, query
  local scheme, behind = rest:match "^(%a[%w+.-]*):(.*)$"
  if scheme then
    found.scheme, rest = scheme:lower(), behind
  elseif rest:find "^[^/]*:" then
    return nil, "url: no scheme before :"
  end
  local authority, tail = rest:match "^//([^/]*)(.*)$"
  local reason
  if authority then
    reason, rest = read_authority(found, authority), tail
  end
  found.path = rest
  for name in pairs(ALLOWED) do
    reason = reason or (found[name] and problem_of(name, found[name]))
  end
  if reason then return nil, "url: " .. reason end
  return found
end

local function check_parts(parts)
  for name, value in pairs(parts) do
    if name == "port" then
      arguments.integer(value, "tide.url.build: port", 0, 65535)
    elseif type(value) ~= "string" then
      error(("tide.url.build: %s is a text, got %s"):format(name, arguments.shown(value)), 3)
    elseif name ~= "scheme" and problem_of(name, value) then
      error("tide.url.build: " .. problem_of(name, value), 3)
    end
  end
  if parts.scheme and not parts.scheme:find "^%a[%w+.-]*$" then
    error("tide.url.build: no scheme: " .. arguments.shown(parts.scheme), 3)
  end
  if (parts.user or parts.password or parts.port) and not parts.host then
    error("tide.url.build: user, password and port need a host", 3)
  end
end

--- The text of what parse gives. What would be read as something else is an error.
function url.build(parts)
  if type(parts) ~= "table" then error("tide.url.build takes a table, got " .. arguments.shown(parts), 2) end
  arguments.options(parts, "tide.url.build", PARTS, 3)
  check_parts(parts)
  local path = parts.path or ""
  if parts.host and path ~= "" and not path:find "^/" then
    error("tide.url.build: a path behind a host begins with /", 2)
  elseif not parts.host and (path:find "^//" or (not parts.scheme and path:find "^[^/]*:")) then
    error("tide.url.build: this path would be read as " .. (path:find "^//" and "a host" or "a scheme"), 2)
  end
  local text = parts.scheme and parts.scheme .. ":" or ""
  if parts.host then
    local login = (parts.user or parts.password) and (parts.user or "") or nil
    if login and parts.password then login = login .. ":" .. parts.password end
    text = text .. "//" .. (login and login .. "@" or "") .. parts.host
    if parts.port then text = ("%s:%d"):format(text, tonumber(parts.port)) end
  end
  return text .. path .. (parts.query and "?" .. parts.query or "") .. (parts.fragment and "#" .. parts.fragment or "")
end

-- ---- queries ----

function url.query(text)
  arguments.text(text, "tide.url.query")
  local found, count = {}, 0
  for pair in text:gmatch "[^&]+" do
    local name, value = pair:match "^([^=]*)=?(.*)$"
    name, value = unescaped((name:gsub("+", " "))), unescaped((value:gsub("+", " ")))
    if not name or not value then return nil, "url: % without two hexadecimal digits in " .. arguments.shown(pair) end
    local before = found[name]
    if type(before) == "table" then
      before[#before + 1] = value
    else
      found[name] = before and marks.to_array { before, value } or value
    end
    count = count + 1
    if count > MOST_NAMES then return nil, ("url: a query of more than %d names"):format(MOST_NAMES) end
  end
  return found
end

local function text_of(value)
  if type(value) == "string" then return value end
  local ok, text = pcall(json.public.text, value)
  if ok and (type(value) ~= "table" or marks.of(value) == marks.STAND_IN) and value ~= json.null then return text end
  error("tide.url.build_query: a value is a text, number or boolean, or a list of them, got "
    .. arguments.shown(value), 3)
end

function url.build_query(values)
  if type(values) ~= "table" then error("tide.url.build_query takes a table, got " .. arguments.shown(values), 2) end
  local names, parts = {}, {}
  for name in pairs(values) do
    if type(name) ~= "string" then
      error("tide.url.build_query: a name is a text, got " .. arguments.shown(name), 2)
    end
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local list = values[name]
    if type(list) ~= "table" or marks.of(list) == marks.STAND_IN then list = { list } end
    local wrong = check.not_array(list)
    if wrong then error(("tide.url.build_query: the values of %s are a list; this has %s"):format(name, wrong), 2) end
    for i = 1, #list do parts[#parts + 1] = escaped(name) .. "=" .. escaped(text_of(list[i])) end
  end
  return table.concat(parts, "&")
end

return url
