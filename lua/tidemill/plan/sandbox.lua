-- SPDX-License-Identifier: MIT
-- plan/sandbox.lua: what stays open to the user's functions. It makes of the settings trust, network, files and env,
-- and of where the transforms lie, the lists of struct tide_plan_sandbox (base/plan.h), which the kernel then keeps
-- zygote and workers to.
--
-- What may be read is what loading and running a transform needs: the folders of the pipeline and of its transforms,
-- those of Lua's path, tidemill's own files, the system's libraries. Two kinds of folders are not granted as a whole:
-- one that holds a secret of the pipeline (its other entries are granted one by one), and the user's home and what is
-- above it, which hold much that has nothing to do with the pipeline. Start reading at sandbox.complete.
local ffi = require("ffi")
local paths = require("tidemill.plan.paths")
local posix = require("tidemill.run.posix")
local secret = require("tidemill.plan.secret")
local secrets_list = require("tidemill.plan.secrets")
local tide = require("tidemill.run.ffi")

local sandbox = {}

-- Libraries that a module in C or ffi.load opens, and what they read themselves; devices without contents.
local SYSTEM = { "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache",
  "/etc/localtime", "/etc/timezone", "/usr/share/zoneinfo", "/usr/share/locale", "/usr/share/i18n", "/etc/locale.alias",
  "/etc/ssl/openssl.cnf", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu",
  "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom" }

-- How names become addresses, and the certificates of authorities.
local NETWORK = { "/etc/resolv.conf", "/run/systemd/resolve", "/run/resolvconf", "/etc/hosts", "/etc/host.conf",
  "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols", "/etc/ssl/certs", "/etc/ssl/cert.pem",
  "/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/etc/pki/tls/certs",
  "/etc/pki/ca-trust/extracted" }

local WRITTEN = { "/dev/null", "/dev/zero", "/dev/full" }

-- The time zone and the language, which are no secrets.
local VARIABLES = { "TZ", "TZDIR", "LANG", "LANGUAGE", "LC_ALL", "LC_COLLATE", "LC_CTYPE", "LC_MESSAGES", "LC_MONETARY",
  "LC_NUMERIC", "LC_TIME" }
local EQUALS = 61
local NETWORK_VARIABLES = { "SSL_CERT_FILE", "SSL_CERT_DIR" }

-- Adds the real path of each secret that is a file; those that are not there hide nothing.
local function secrets_of(pipeline)
  local secrets = {}
  local function add(path)
    secrets[#secrets + 1] = type(path) == "string" and paths.real(path) or nil
  end
  for _, path in ipairs(pipeline.secrets or {}) do add(path) end
  for _, step in ipairs(pipeline.steps) do
    for _, property in ipairs(step.values.rdkafka or {}) do
      if secret.is_key_file(property.name) then add(property.value) end
    end
  end
  add(os.getenv("CREDENTIALS_DIRECTORY")) -- of systemd: the credentials of the whole unit
  return secrets
end

-- Which entries of a folder may be granted when the folder itself may not: a function of a name and whether it is a
-- folder. nil when the folder may be granted.
local function choice_in(folder, home)
  local is_above = folder == "/" or home ~= nil and folder ~= home and paths.is_in(folder, home)
  if not is_above and folder ~= home then return nil end
  return function(name, is_folder) return name:sub(1, 1) ~= "." and not (is_folder and is_above) end
end

-- A list of what is granted. `named` paths are granted whatever they are, except secrets.
local Grants = {}
Grants.__index = Grants

local function new_grants(secrets)
  return setmetatable({ list = {}, secrets = secrets, home = paths.real(os.getenv("HOME") or "") }, Grants)
end

function Grants:has(path)
  for _, known in ipairs(self.list) do
    if paths.is_in(known, path) then return true end
  end
  return false
end

-- Adds the entries of a folder for which choose(name, is_folder) is true. A link is left out: what it leads to lies
-- in the folder itself, or is not meant by it.
function Grants:add_entries(folder, choose)
  for _, name in ipairs(paths.entries(folder) or {}) do
    local path = paths.join(folder, name)
    if paths.real(path) == path and (not choose or choose(name, paths.is_folder(path))) then self:add_real(path) end
  end
end

function Grants:add_real(path)
  if self:has(path) then return end
  for _, hidden in ipairs(self.secrets) do
    if hidden == path then return end
    if paths.is_in(path, hidden) then return self:add_entries(path) end
  end
  self.list[#self.list + 1] = path
end

-- Adds a path that the pipeline file names.
function Grants:add(path)
  local real = paths.real(path)
  if real then self:add_real(real) end
end

-- Adds a folder that is granted because code lies there.
function Grants:add_folder(path)
  local real = paths.real(path)
  local choose = real and choice_in(real, self.home)
  if choose then return self:add_entries(real, choose) end
  if real then self:add_real(real) end
end

function Grants:add_all(list)
  for _, path in ipairs(list or {}) do self:add(path) end
end

-- Adds the folders in which `require` looks: "/usr/share/lua/5.1/?.lua;..." without what follows the last / before ?.
function Grants:add_templates(templates)
  for template in (templates or ""):gmatch("[^;]+") do
    local before = template:match("^([^?]*)%?")
    if before then self:add_folder(before:match("^(.*)/") == "" and "/" or before:match("^(.*)/") or ".") end
  end
end

local function folder_of(path)
  return path:match("^(.*)/[^/]*$") == "" and "/" or path:match("^(.*)/[^/]*$") or "."
end

local function add_code(grants, pipeline)
  grants:add_folder(pipeline.folder)
  for _, step in ipairs(pipeline.steps) do
    for _, item in ipairs(step.values.functions or {}) do
      if type(item) == "table" then
        grants:add_folder(folder_of(item.path))
        grants:add(item.path) -- the file itself, where the path is a link to it
      end
    end
  end
  local own = pipeline.globals and pipeline.globals.package
  for _, of in ipairs { package, type(own) == "table" and own or nil } do
    grants:add_templates(of.path)
    grants:add_templates(of.cpath)
  end
  grants:add(tide.folder) -- libtidemill and the modules beside it
end

local function variables_of(settings)
  local names = {}
  for _, list in ipairs { settings.env, VARIABLES, settings.network and NETWORK_VARIABLES or {} } do
    for _, name in ipairs(list) do names[#names + 1] = name end
  end
  return names
end

--- The struct's fields as a table for plan/plan_struct.lua. `settings`: { trust, network, files, env } as the pipeline
--- file has them.
function sandbox.complete(pipeline, settings)
  local trust = tide.C["TIDE_TRUST_" .. settings.trust:upper()]
  if settings.trust == "full" then
    return { trust = trust, network = true, hosts = {}, read = {}, write = {}, env = {} }
  end
  local hosts = type(settings.network) == "table" and settings.network or {}
  local secrets = secrets_of(pipeline)
  local read, write = new_grants(secrets), new_grants(secrets)
  add_code(read, pipeline)
  read:add_all(settings.files.read)
  read:add_all(settings.files.write)
  read:add_all(SYSTEM)
  if settings.network then
    read:add_all(NETWORK)
    for _, name in ipairs(NETWORK_VARIABLES) do read:add(os.getenv(name) or "") end
  end
  write:add_all(settings.files.write)
  write:add_all(WRITTEN)
  return { trust = trust, network = settings.network == true, hosts = hosts, read = read.list, write = write.list,
    env = variables_of(settings) }
end

-- The name in "NAME=VALUE". A value may be a secret, and the heap of this process is the zygote's after the fork: so it
-- must not become a text of Lua.
local function name_of(variable)
  local length = 0
  while variable[length] ~= 0 and variable[length] ~= EQUALS do length = length + 1 end
  return ffi.string(variable, length)
end

--- The names of the variables that are set and that functions do not see, by name; nil under full.
function sandbox.withheld(fields)
  if fields.trust == tide.C.TIDE_TRUST_FULL then return nil end
  local names, at = {}, 0
  while posix.environ ~= nil and posix.environ[at] ~= nil do
    names[name_of(posix.environ[at])] = true
    at = at + 1
  end
  for _, name in ipairs(fields.env) do names[name] = nil end
  return names
end

-- What is wrong with one path of files.read or files.write; nil if nothing is.
local function problem_of(path, secrets, is_written)
  local real = paths.real(path)
  if not real then
    return is_written and "is not there; name a file that is, or the folder that it will be in" or "is not there"
  end
  for _, hidden in ipairs(secrets) do
    if hidden == real then return "is a secret of this pipeline, which functions never see" end
    if is_written and paths.is_in(real, hidden) then
      return ('holds "%s", a secret of this pipeline; name another folder'):format(hidden)
    end
  end
end

--- The texts of what is wrong with the settings of a pipeline.
function sandbox.faults(pipeline)
  local texts, values = {}, pipeline.settings.values
  local place = ("%s:%d: "):format(pipeline.file, pipeline.declaration.line or 0)
  local secrets = secrets_of(pipeline)
  for _, side in ipairs { "read", "write" } do
    for _, path in ipairs((values.files or {})[side] or {}) do
      local problem = problem_of(path, secrets, side == "write")
      if problem then texts[#texts + 1] = ('%soption "files.%s": "%s" %s'):format(place, side, path, problem) end
    end
  end
  local hidden = {}
  for _, step in ipairs(pipeline.steps) do
    for _, name in ipairs(secrets_list.variables { step.values.rdkafka or {} }) do hidden[name] = true end
  end
  for _, name in ipairs(values.env or {}) do
    if hidden[name] then
      texts[#texts + 1] = ('%soption "env": "%s" is a secret of this pipeline, which functions never see'):format(place,
        name)
    elseif not name:find("^[%a_][%w_]*$") then
      texts[#texts + 1] = ('%soption "env": "%s" is not the name of a variable'):format(place, name)
    end
  end
  return texts
end

return sandbox
