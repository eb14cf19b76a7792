-- SPDX-License-Identifier: MIT
-- run/copy.lua: what message:copy() gives, and what a batch function gets: a plain table that may be kept, with a
-- view of its own. While the view is open the value stands aside, so that the last of value and json written wins
-- as in a message; when the views go, the value with all changes is a plain field again.
local null = require("cjson").null
local check = require("tidemill.run.check")
local json = require("tidemill.run.json")

local copies = {}

local VIEW = {} -- key of { doc, value, edits = how many changes the value holds, stale = the value was written since }
local FIELDS = { key = true, headers = true, topic = true, partition = true, offset = true, timestamp = true }
local ORIGIN = { "topic", "partition", "offset" }
local open, count = {}, 0

local function get_value(view)
  if json.edits_of(view.doc) ~= view.edits then
    view.value, view.edits, view.stale = json.text_of(view.doc), json.edits_of(view.doc), false
  end
  return view.value
end

local function get_json(copy)
  local view = rawget(copy, VIEW)
  if view and not (view.stale and json.edits_of(view.doc) == view.edits) then return (json.root_of(view.doc)) end
  local value
  if view then value = view.value else value = rawget(copy, "value") end
  value = check.bytes_or_null("value", value)
  if value == nil then return nil end
  local doc = json.open_beside(value)
  if not view then
    view = {}
    rawset(copy, VIEW, view)
    rawset(copy, "value", nil)
    count = count + 1
    open[count] = copy
  end
  view.doc, view.value, view.edits, view.stale = doc, value, 0, false
  return (json.root_of(doc))
end

local function set_value(copy, new)
  local view = rawget(copy, VIEW)
  if not view then
    rawset(copy, "value", new)
    return
  end
  view.value, view.edits, view.stale = new, json.edits_of(view.doc), true
end

--- The metatable of copies, their mark. `opening` is called before a view is opened.
function copies.metatable(opening)
  return {
    __index = function(copy, name)
      if name == "json" then
        opening()
        return (get_json(copy))
      end
      local view = name == "value" and rawget(copy, VIEW)
      if view then return (get_value(view)) end
    end,
    __newindex = function(copy, name, new)
      if name == "json" then
        set_value(copy, new ~= nil and json.encode(new, 2) or nil)
      elseif name == "value" then
        set_value(copy, new)
      elseif FIELDS[name] then
        rawset(copy, name, new)
      else
        error(('a copy of a message has no field "%s"; it has value, json, key, headers, topic, partition, offset, '
          .. "timestamp"):format(tostring(name)), 2)
      end
    end,
  }
end

--- Before the views go.
function copies.close()
  for i = 1, count do
    local copy = open[i]
    local value = get_value(copy[VIEW])
    rawset(copy, VIEW, nil)
    rawset(copy, "value", value)
    open[i] = nil
  end
  count = 0
end

--- A list of headers of its own; what is no header would be lost here, so it is an error.
function copies.headers(list)
  local own = {}
  check.headers(list)
  for i = 1, #list do own[i] = { list[i][1], list[i][2] } end
  return own
end

--- The value of the last header of that name (as Kafka's lastHeader); nil when there is none. Of a message or a copy.
function copies.last_header(of, name)
  local all = of.headers or {}
  for i = #all, 1, -1 do
    if all[i][1] == name then
      local content = all[i][2]
      return content ~= null and content or nil
    end
  end
end

--- Raises an error for a copy whose place of origin was written over: `was` has it as it came.
function copies.check_origin(copy, was)
  for i = 1, #ORIGIN do
    local name = ORIGIN[i]
    if copy[name] ~= was[name] then
      error(("%s of a copy is where it came from; to send it elsewhere return { %s = ... }"):format(name, name), 0)
    end
  end
end

return copies
