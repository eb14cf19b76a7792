-- SPDX-License-Identifier: MIT
-- plan/secret.lua: makes values that are fetched late, when the engine connects, and never shown: environment
-- variables and files. They can be joined with `..`; what they become prints as [redacted].
local secret = {}
local Secret = {}
Secret.__index = Secret

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

function Secret.__tostring()
  return "[redacted]"
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

local function fetch(part)
  if type(part) == "string" then return part end
  if part.kind == "env" then
    local value = os.getenv(part.name) or part.default
    if value == nil then return nil, string.format('environment variable "%s" is not set', part.name) end
    return tostring(value)
  end
  local file, reason = io.open(part.name, "rb")
  local text = file and file:read("*a")
  if file then file:close() end
  if not text then
    return nil, string.format('secret file "%s" cannot be read: %s', part.name, reason or "not a file")
  end
  return (text:gsub("\r?\n$", ""))
end

--- Returns the value, or nil and the reason (which names the variable or the file, never a value).
function Secret:resolve()
  local texts = {}
  for i, part in ipairs(self.parts) do
    local text, reason = fetch(part)
    if not text then return nil, reason end
    texts[i] = text
  end
  return table.concat(texts)
end

--- True when it consists of environment variables only: such a value may stand in any option.
function Secret:from_environment()
  for _, part in ipairs(self.parts) do
    if type(part) == "table" and part.kind ~= "env" then return false end
  end
  return true
end

return secret
