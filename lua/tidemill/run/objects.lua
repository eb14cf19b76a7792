-- SPDX-License-Identifier: MIT
-- run/objects.lua makes the type of the objects that stand for messages: a cdata that holds a serial number, which
-- LuaJIT keeps in a register; or, where no cdata are handed out (run/hardened.lua), a table with that number.
local ffi = require("ffi")

local objects = {}

local hardened = false
local SERIAL = {} -- the key in a table, which a script cannot have

--- From now on objects are tables, or cdata again.
function objects.harden(on)
  hardened = on
end

--- The serial number of a table; of a cdata it is the field `serial`.
function objects.serial_of(object)
  return (rawget(object, SERIAL))
end

--- Makes a type with these methods. Returns new(serial) and is(thing). Each load of a file has a type of its own:
--- busted forgets what a spec file required, loads it again, and LuaJIT would give back the older type (with the older
--- methods) for the same text.
function objects.type(methods)
  local object = ffi.metatype(ffi.typeof(("struct { double serial; } /* %s */"):format(tostring(methods))), methods)
  local function new(serial)
    if hardened then return setmetatable({ [SERIAL] = serial }, methods) end
    return (object(serial))
  end
  local function is(thing)
    return ffi.istype(object, thing) or type(thing) == "table" and getmetatable(thing) == methods
  end
  return new, is
end

return objects
