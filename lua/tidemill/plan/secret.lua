-- SPDX-License-Identifier: MIT
-- plan/secret.lua: makes values that are fetched late, when the engine connects, and never shown: environment
-- variables, files, and credentials of systemd. They can be joined with `..`; what they become prints as [redacted].
local bit = require("bit")
local ffi = require("ffi")
local tide = require("tidemill.run.ffi")
local C = tide.C

local secret = {}
local Secret = {}
Secret.__index = Secret

local WHERE = "CREDENTIALS_DIRECTORY" -- systemd sets it for LoadCredential= and SetCredential= (systemd.exec(5))

local warned = {} -- files whose permissions were warned of

local function new(parts)
  return setmetatable({ parts = parts }, Secret)
end

function secret.is(value)
  return getmetatable(value) == Secret
end

--- Returns the secret of an environment variable; `default` may be nil.
function secret.env(name, default)
  return new { { kind = "env", name = name, default = default } }
end

--- Returns the secret that is the contents of a file, without the newline at its end.
function secret.file(path)
  return new { { kind = "file", name = path } }
end

--- Returns the secret that systemd gives under this name.
function secret.credential(name)
  return new { { kind = "credential", name = name } }
end

function Secret.__tostring()
  return "[redacted]"
end

local function same_part(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  return a.kind == b.kind and a.name == b.name and a.default == b.default
end

--- Two secrets are the same when they come from the same place; neither is fetched for that.
function Secret.__eq(a, b)
  for i = 1, math.max(#a.parts, #b.parts) do
    if not same_part(a.parts[i], b.parts[i]) then return false end
  end
  return true
end

function Secret.__concat(a, b)
  local parts = {}
  for _, side in ipairs { a, b } do
    if secret.is(side) then
      for _, part in ipairs(side.parts) do parts[#parts + 1] = part end
    else
      parts[#parts + 1] = tostring(side)
    end
  end
  return new(parts)
end

--- Whether a property of this name is a secret, which may not stand in the pipeline file.
function secret.is_name(name)
  return name:find("password") ~= nil or name:find("secret") ~= nil or name == "ssl.key.pem"
end

--- Whether a property of this name is never shown, wherever its value comes from.
function secret.is_hidden(name)
  return secret.is_name(name) or name:find("%.pem$") ~= nil or name == "sasl.oauthbearer.config"
end

-- Properties of librdkafka that name a file with a key, which librdkafka reads itself.
local KEY_FILES = { ["ssl.key.location"] = true, ["ssl.keystore.location"] = true, ["sasl.kerberos.keytab"] = true }

function secret.is_key_file(name)
  return KEY_FILES[name] == true
end

-- Warns once of a file that others can read, and refuses one that everybody can write: then anybody could put a
-- password of his own there. Returns the reason.
local function check_access(path, access, mode)
  local has = function(flag) return bit.band(access, flag) ~= 0 end
  if has(C.TIDE_SECRET_WRITABLE) then
    return ("everybody can write it (mode %03o); say chmod 600 %s"):format(mode, path)
  end
  if not has(C.TIDE_SECRET_READABLE) or warned[path] then return nil end
  warned[path] = true
  C.tide_log_text("TIDE_LOG_WARN", ('secret file "%s": others than its owner can read it (mode %03o); say chmod 600 %s')
    :format(path, mode, path))
end

local buffer

-- Returns the contents of a file, or nil and the reason. `checked`: its permissions matter.
local function read(path, checked)
  buffer = buffer or ffi.new("char[?]", C.TIDE_SECRET_MOST)
  local access, mode = ffi.new("int[1]"), ffi.new("uint32_t[1]")
  local size = tonumber(C.tide_secret_read(path, buffer, access, mode))
  if size < 0 then return nil, "cannot be read: " .. tide.error() end
  local text, reason = ffi.string(buffer, size), checked and check_access(path, access[0], mode[0])
  ffi.fill(buffer, size)
  if reason then return nil, reason end
  return text
end

local fetch = {}

function fetch.env(part)
  local value = os.getenv(part.name) or part.default
  if value == nil then return nil, ('environment variable "%s" is not set'):format(part.name) end
  return tostring(value)
end

function fetch.file(part)
  local text, reason = read(part.name, true)
  if not text then return nil, ('secret file "%s": %s'):format(part.name, reason) end
  return text
end

-- systemd itself keeps the folder of credentials from everybody else, by means (ACLs) that show as a mode for a group.
function fetch.credential(part)
  local folder = os.getenv(WHERE)
  local path = folder and folder .. "/" .. part.name
  if not path then
    return nil, ('credential "%s": %s is not set; systemd sets it for a unit with LoadCredential=, elsewhere say '
      .. "tide.secret_file"):format(part.name, WHERE)
  end
  local text, reason = read(path, false)
  if not text then return nil, ('credential "%s" (%s): %s'):format(part.name, path, reason) end
  return text
end

--- Returns the value, or nil and the reason (which names the variable or the file, never a value).
function Secret:resolve()
  local texts = {}
  for i, part in ipairs(self.parts) do
    local text, reason = part, nil
    if type(part) == "table" then text, reason = fetch[part.kind](part) end
    if not text then return nil, reason end
    texts[i] = text
  end
  return table.concat(texts)
end

--- Checks the permissions of a file with a key. Returns the reason why it is refused.
function secret.check_file(path)
  local mode = ffi.new("uint32_t[1]")
  local access = C.tide_secret_access(path, mode)
  local reason = check_access(path, access, mode[0])
  return reason and ('secret file "%s": %s'):format(path, reason)
end

--- True when it consists of environment variables only: such a value may stand in any option.
function Secret:from_environment()
  for _, part in ipairs(self.parts) do
    if type(part) == "table" and part.kind ~= "env" then return false end
  end
  return true
end

--- True when a variable of it has a default, which stands in the pipeline file.
function Secret:has_default()
  for _, part in ipairs(self.parts) do
    if type(part) == "table" and part.default ~= nil then return true end
  end
  return false
end

return secret
