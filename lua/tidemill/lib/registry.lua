-- SPDX-License-Identifier: MIT
-- lib/registry.lua: tide.registry { url = ... }, a client of a schema registry (Confluent's HTTP API, which Karapace
-- and Redpanda have too), by lib/http.lua.
--   registry:decode(bytes) -> the value of bytes in Confluent's wire format, by the schema that they name: of Avro, or
--     of Protocol Buffers, which the registry gives as a descriptor (format=serialized)
--   registry:encode(subject, value) -> the bytes, by the latest schema of the subject
--   registry:schema(id), registry:latest(subject) -> a schema (lib/avro.lua); latest gives its number too
--   registry:register(subject, text) -> the number
-- Each gives nil, the reason, and whether it may succeed later. Only what the registry itself says of a schema is final
-- (REFUSED below, with an error_code in the body); a registry that is away or does not know us says nothing of a
-- message. encode raises what does not fit its schema. The schema of a number never changes, and is kept; the latest
-- one of a subject is asked for again after `refresh` seconds, and used further while the registry is away; an answer
-- that there is none is kept for 30 seconds, other failures for one.
-- Source: Confluent, "Schema Registry API Reference": 40401, 40402 and 40403 are subject, version and schema not found
-- (404 is a path that is not there), 409 an incompatible schema, 42201 and 42202 an invalid schema and version; 401,
-- 403, 408, 429 and 5xx are about the request.
local arguments = require("tidemill.lib.arguments")
local avro_codec = require("tidemill.lib.avro_codec")
local base64 = require("tidemill.lib.base64")
local confluent = require("tidemill.lib.confluent")
local http = require("tidemill.lib.http")
local protobuf_codec = require("tidemill.lib.protobuf_codec")
local json = require("tidemill.run.json")
local url = require("tidemill.lib.url")
local C = require("tidemill.run.ffi").C

local OPTIONS = { url = true, user = true, password = true, token = true, timeout = true, ca = true, refresh = true,
  tagged = true }
local TYPE = "application/vnd.schemaregistry.v1+json"
local ACCEPT = TYPE .. ", application/vnd.schemaregistry+json; q=0.9, application/json; q=0.5"
local REFUSED = { [400] = 400, [404] = 40400, [409] = 400, [422] = 400 } -- status = the least error_code
local REFRESH, ABSENT_FOR, FAILED_FOR = 300, 30, 1 -- seconds
local MOST_KEPT = 10000 -- answers
local MOST_ID = 2 ^ 32 - 1
local MOST_REFERENCES = 200 -- of one schema, with those of its references

local function now_s()
  return tonumber(C.tide_clock_us()) / 1e6
end

-- Whether an answer has the number of a schema, as the wire format writes it.
local function has_id(answer)
  local id = answer.id
  return type(id) == "number" and id % 1 == 0 and id >= 0 and id <= MOST_ID
end

-- Whether an answer says something of a schema, and not of the request.
local function is_final(status, value)
  local code = type(value) == "table" and tonumber(value.error_code) or 0
  return REFUSED[status] ~= nil and code >= REFUSED[status]
end

-- Asks the registry: the table of its answer; nil, the reason, and whether it may succeed later.
local function ask(self, path, body)
  local answer, problem = http.request { url = self.url .. path, headers = self.headers, body = body, ca = self.ca,
    timeout = self.timeout }
  if not answer then return nil, ("registry: %s: %s"):format(self.shown, problem), true end
  local ok, value = pcall(json.public.table, answer.body)
  local is_table = ok and type(value) == "table"
  if answer.status == 200 and is_table then return value end
  local message = is_table and type(value.message) == "string" and value.message or "no answer of a registry"
  return nil, ("registry: %s%s: %d: %s"):format(self.shown, path, answer.status, message:sub(1, 500)),
    not is_final(answer.status, ok and value)
end

-- What `make` gives, kept by a name: for good, or `keep` seconds; failures for a short time.
local function cached(self, name, keep, make)
  local found, now = self.kept[name], now_s()
  if found and now < found.over then return found.value, found.problem, found.later end
  local value, problem, later = make()
  if not value and later and found and found.value then -- an old answer is better than none
    found.over = now + FAILED_FOR
    return found.value
  end
  if not found then self.count = self.count + 1 end
  if self.count > MOST_KEPT then self.kept, self.count = {}, 1 end
  self.kept[name] = { value = value, problem = problem, later = later,
    over = now + (value and keep or later and FAILED_FOR or ABSENT_FOR) }
  return value, problem, later
end

-- Puts the texts of the schemas that `answer` refers to into `list`, each behind those that it refers to itself. seen:
-- paths and texts. query: what is asked of each. True; nil, the reason, and whether it may succeed later.
local function add_references(self, answer, query, list, seen)
  for _, one in ipairs(type(answer.references) == "table" and answer.references or {}) do
    if type(one) ~= "table" or type(one.subject) ~= "string" or type(one.version) ~= "number" then
      return nil, "registry: a reference without subject and version"
    end
    local version = one.version == -1 and "latest" or ("%d"):format(one.version)
    local path = ("/subjects/%s/versions/%s?deleted=true%s"):format(url.escape(one.subject), version, query)
    if not seen[path] then
      seen[path], seen.count = true, (seen.count or 0) + 1
      if seen.count > MOST_REFERENCES then return nil, "registry: too many references" end
      local found, problem, later = ask(self, path)
      if not found then return nil, problem, later end
      if type(found.schema) ~= "string" then return nil, ("registry: %s: the answer has no schema"):format(path) end
      local ok
      ok, problem, later = add_references(self, found, query, list, seen)
      if not ok then return nil, problem, later end
      if not seen[found.schema] then list[#list + 1] = found.schema end -- a version, and "latest"
      seen[found.schema] = true
    end
  end
  return true
end

-- The schema of an answer; nil, the reason, and whether it may succeed later.
local function made(self, answer, what)
  local kind = answer.schemaType
  if type(kind) == "string" and kind ~= "AVRO" then -- absent or null: AVRO
    return nil, ("registry: %s is of type %s, where one of AVRO is wanted"):format(what, kind)
  end
  if type(answer.schema) ~= "string" then return nil, ("registry: %s: the answer has no schema"):format(what) end
  local before = {}
  local ok, problem, later = add_references(self, answer, "", before, {})
  if not ok then return nil, problem, later end
  local schema
  schema, problem = avro_codec.make(answer.schema, self.tagged, before)
  if not schema then return nil, ("registry: %s: %s"):format(what, problem) end
  return schema
end

-- The types of a schema of Protocol Buffers: its text is asked for as the descriptor of a file, and so are those of the
-- schemas that it refers to.
local function types_of(self, id)
  local answer, problem, later = ask(self, ("/schemas/ids/%d?format=serialized"):format(id))
  if not answer then return nil, problem, later end
  local list = {}
  local ok, fault, again = add_references(self, answer, "&format=serialized", list, {})
  if not ok then return nil, fault, again end
  list[#list + 1] = answer.schema or ""
  for i, text in ipairs(list) do
    list[i] = type(text) == "string" and text ~= "" and base64.decode(text)
    if not list[i] then
      return nil, ("registry: schema %d: the answer is no descriptor in base64, which format=serialized asks for")
        :format(id)
    end
  end
  local types
  types, problem = protobuf_codec.of_files(list)
  if not types then return nil, ("registry: schema %d: %s"):format(id, problem) end
  return { types = types }
end

-- A schema of Avro, or { types = } of Protocol Buffers.
local function any_of(self, id)
  return cached(self, id, math.huge, function()
    local answer, problem, later = ask(self, ("/schemas/ids/%d"):format(id))
    if not answer then return nil, problem, later end
    if answer.schemaType == "PROTOBUF" then return types_of(self, id) end
    return made(self, answer, "schema " .. id)
  end)
end

local function schema_of(self, id)
  local schema, problem, later = any_of(self, id)
  if schema and schema.types then
    return nil, ("registry: schema %d is of type PROTOBUF, where one of AVRO is wanted"):format(id)
  end
  return schema, problem, later
end

local function latest_of(self, subject)
  return cached(self, "latest " .. subject, self.refresh, function()
    local answer, problem, later = ask(self, ("/subjects/%s/versions/latest"):format(url.escape(subject)))
    if not answer then return nil, problem, later end
    local schema
    schema, problem, later = made(self, answer, "subject " .. subject)
    if not schema then return nil, problem, later end
    if not has_id(answer) then return nil, ("registry: subject %s: the answer has no id"):format(subject) end
    if not self.kept[answer.id] then self.kept[answer.id] = { value = schema, over = math.huge } end
    return { schema = schema, id = answer.id }
  end)
end

local function register(self, subject, text)
  return cached(self, ("id %d %s%s"):format(#subject, subject, text), math.huge, function()
    local answer, problem, later = ask(self, ("/subjects/%s/versions"):format(url.escape(subject)),
      json.public.encode { schema = text })
    if not answer then return nil, problem, later end
    if not has_id(answer) then return nil, "registry: the answer has no id" end
    return answer.id
  end)
end

local function decode(self, bytes)
  local id, rest = confluent.split(bytes)
  if not id then return nil, "registry: " .. rest end
  local schema, problem, later = any_of(self, id)
  if not schema then return nil, problem, later end
  if not schema.types then return schema:decode(rest) end
  local indexes, value = confluent.split_indexes(rest)
  if not indexes then return nil, "registry: " .. value end
  local message
  message, problem = schema.types:at(indexes)
  if not message then return nil, ("registry: schema %d: %s"):format(id, problem) end
  return message:decode(value)
end

local function encode(self, subject, value)
  local latest, problem, later = latest_of(self, subject)
  if not latest then return nil, problem, later end
  local ok, bytes = pcall(latest.schema.encode, nil, value)
  if not ok then return false, bytes end
  return confluent.head(latest.id) .. bytes
end

local function text_option(options, name, level)
  local value = options[name]
  if value ~= nil and (type(value) ~= "string" or value:find("[%z\r\n]")) then
    error(("tide.registry: %s takes a text, got %s"):format(name, arguments.shown(value)), level)
  end
  return value
end

local function seconds_option(options, name, default)
  local value = options[name]
  if value == nil then return default end
  if type(value) ~= "number" or not (value > 0 and value < 2 ^ 31) then
    error(("tide.registry: %s takes seconds, got %s"):format(name, arguments.shown(value)), 4)
  end
  return value
end

-- The header of who asks; in a URL name and password have %XX.
local function authorization(options, parts)
  local token = text_option(options, "token", 5)
  local user = text_option(options, "user", 5) or parts.user and url.unescape(parts.user)
  local password = text_option(options, "password", 5) or parts.password and url.unescape(parts.password)
  if token and user then error("tide.registry: token and user are two ways to say who asks; take one", 4) end
  if token then return "Bearer " .. token end
  return user and "Basic " .. base64.encode(user .. ":" .. (password or "")) or nil
end

-- What the methods work with. Raises in the line of the script.
local function state_of(options)
  arguments.options(options, "tide.registry", OPTIONS, 4)
  local address = text_option(options, "url", 4)
  local parts = address and url.parse(address)
  if not parts or (parts.scheme ~= "http" and parts.scheme ~= "https") then
    error("tide.registry: url takes http://host:port or https://host:port, got " .. arguments.shown(address), 3)
  end
  local headers = { Accept = ACCEPT, ["Content-Type"] = TYPE, Authorization = authorization(options, parts) }
  parts.user, parts.password = nil, nil
  local plain = url.build(parts):gsub("/+$", "")
  return { url = plain, shown = plain, headers = headers, kept = {}, count = 0, ca = text_option(options, "ca", 4),
    timeout = seconds_option(options, "timeout", nil), refresh = seconds_option(options, "refresh", REFRESH),
    tagged = options.tagged == true }
end

--- tide.registry. The methods are closures over what they work with, so that a script cannot change it.
return function(options)
  local self, registry = state_of(options), {}

  function registry.schema(_, id)
    id = arguments.integer(id, "registry:schema", 0, MOST_ID)
    return schema_of(self, id)
  end

  function registry.latest(_, subject)
    arguments.text(subject, "registry:latest")
    local latest, problem, later = latest_of(self, subject)
    if not latest then return nil, problem, later end
    return latest.schema, latest.id
  end

  function registry.register(_, subject, text)
    arguments.text(subject, "registry:register")
    arguments.text(text, "registry:register")
    return register(self, subject, text)
  end

  function registry.decode(_, bytes)
    arguments.text(bytes, "registry:decode")
    return decode(self, bytes)
  end

  function registry.encode(_, subject, value)
    arguments.text(subject, "registry:encode")
    local bytes, problem, later = encode(self, subject, value)
    if bytes == false then error("registry:encode: " .. subject .. ": " .. problem, 2) end
    return bytes, problem, later
  end

  return registry
end
