-- SPDX-License-Identifier: MIT
-- run/check.lua: what may be written into a message. The errors are at level 4: the line of the user's script that
-- assigned the field.
local null = require('cjson').null

local check = {}

--- What a wrong thing is called in an error.
function check.shown(thing)
  if thing == null then return 'tide.null' end
  return 'a ' .. type(thing)
end

--- A string; nil for nil and tide.null.
function check.bytes_or_null(name, new)
  if new == nil or new == null then return nil end
  if type(new) ~= 'string' then
    error(('message.%s takes a string or nil, got %s'):format(name, check.shown(new)), 4)
  end
  return new
end

--- An array of { name, value }.
function check.headers(new)
  if type(new) ~= 'table' then
    error(('message.headers takes an array of {name, value}, got %s'):format(check.shown(new)), 4)
  end
  if #new > 65535 then error(('message.headers has %d entries, more than 65535'):format(#new), 4) end
  for i = 1, #new do
    local header = new[i]
    if type(header) ~= 'table' or type(header[1]) ~= 'string' then
      error(('message.headers[%d] is not {name, value} with a string as name'):format(i), 4)
    end
    local content = header[2]
    if content ~= nil and content ~= null and type(content) ~= 'string' then
      error(('header "%s" takes a string or nil as value, got %s'):format(header[1], check.shown(content)), 4)
    end
  end
  return new
end

function check.integer(name, new, least, most)
  if type(new) ~= 'number' or new % 1 ~= 0 or new < least or new > most then
    error(('message.%s takes an integer from %d to %.0f, got %s'):format(name, least, most,
      type(new) == 'number' and tostring(new) or check.shown(new)), 4)
  end
  return new
end

--- Whether it is an array without gaps, and no more. `next` behind the last element finds nothing where the elements
--- were written in order.
function check.is_array(list)
  if type(list) ~= 'table' then return false end
  local length = #list
  for i = 1, length do
    if list[i] == nil then return false end
  end
  if next(list, length > 0 and length or nil) == nil then return true end
  local count = 0
  for _ in pairs(list) do count = count + 1 end
  return count == length
end

return check
