-- SPDX-License-Identifier: MIT
-- cli/certificates.lua: watches the files by which a run shows its brokers who it is. librdkafka reads them once, when
-- a client is made, so a certificate that is renewed on disk counts from the next start on: engine_loop.lua ends the
-- run in order then, and begins it anew (cli/in_place.lua).
local ffi = require("ffi")
local connection = require("tidemill.plan.connection")
local files = require("tidemill.plan.files")
local secret = require("tidemill.plan.secret")
local tide = require("tidemill.run.ffi")

local certificates = {}
local Certificates = {}
Certificates.__index = Certificates

local QUIET = 2 -- seconds: certificate and key are two files, which are written one after the other

local LOCATIONS = { ["ssl.certificate.location"] = true, ["ssl.key.location"] = true,
  ["ssl.keystore.location"] = true, ["ssl.ca.location"] = true }
local TEXTS = { ["ssl.certificate.pem"] = true, ["ssl.key.pem"] = true, ["ssl.ca.pem"] = true,
  ["ssl.key.password"] = true, ["ssl.keystore.password"] = true }

-- Adds the files that the value of a property names: a location, or what a secret is read from.
local function add_paths(paths, property)
  local value = property.value
  if LOCATIONS[property.name] then
    if not secret.is(value) then
      paths[value] = true
    elseif value:from_environment() then
      local path = value:resolve()
      if path then paths[path] = true end
    end
  elseif TEXTS[property.name] and secret.is(value) then
    for _, part in ipairs(value.parts) do
      if type(part) == "table" and part.kind == "file" then paths[part.name] = true end
    end
  end
end

--- Returns a watch of what the brokers' properties of a plan name now; nil when that is nothing.
function certificates.new(plan)
  local paths, list = {}, {}
  for _, properties in pairs(connection.properties(plan.tables)) do
    for _, property in ipairs(properties) do add_paths(paths, property) end
  end
  for path in pairs(paths) do list[#list + 1] = path end
  if #list == 0 then return nil end
  table.sort(list)
  local self = setmetatable({ plan = plan, paths = list }, Certificates)
  self.known = self:stamp()
  return self
end

function Certificates:stamp()
  local stamp = 0ULL
  for _, path in ipairs(self.paths) do stamp = files.stamp(path, stamp) end
  return stamp
end

-- The reason why no client can be made of what the files have now, or nil. No broker is asked.
local function fault(plan)
  local sides, reason = connection.resolve(plan.tables)
  if not sides then return reason end
  for _, properties in pairs(sides) do
    local array, count = ffi.new("struct tide_property[?]", #properties + 1), 0
    for _, property in ipairs(properties) do
      if LOCATIONS[property.name] or TEXTS[property.name] then
        array[count].name, array[count].value = property.name, property.value
        count = count + 1
      end
    end
    if count > 0 and tide.C.tide_kafka_certificate_try(array, count) < 0 then return tide.error() end
  end
end

--- Whether the files are others than those that were read, have stayed so for a moment, and can be used; false and the
--- reason, once, when they cannot.
function Certificates:renewed(now_us)
  local stamp = self:stamp()
  if stamp == self.known then
    self.seen = nil
    return false
  end
  if stamp ~= self.seen then
    self.seen, self.since_us = stamp, now_us
    return false
  end
  if now_us - self.since_us < QUIET * 1e6 or stamp == self.refused then return false end
  local reason = fault(self.plan)
  if not reason then return true end
  self.refused = stamp
  return false, reason
end

return certificates
