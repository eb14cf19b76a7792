-- SPDX-License-Identifier: MIT
-- run/copy.lua: what message:copy() gives and what a batch function gets: a plain table that may be kept, with a JSON
-- view of its own. While the view is open, the value is moved out of the table, so that the last one written of value
-- and json counts, as in a message; when the views are closed, the value with all changes is a plain field again.
local check = require("tidemill.run.check")
local header_codec = require("tidemill.run.headers")
local json = require("tidemill.run.json")

local copies = {}

-- Key of { doc, value, edits = how many changes of the view `value` has, stale = the value was written since }.
local VIEW = {}
--- Key of the list of headers; it is no plain field, as it is checked and becomes a list when it is assigned.
copies.HEADERS = {}
local HEADERS = copies.HEADERS
local FIELDS = { key = true, topic = true, partition = true, offset = true, timestamp = true }
local open, count = {}, 0
-- Where no cdata are handed out (run/hardened.lua), what VIEW would hold, by the copy: its document is a cdata.
local hardened, views = false, setmetatable({}, { __mode = "k" })

local function view_of(copy)
  if hardened then return views[copy] end
  return rawget(copy, VIEW)
end

local function set_view(copy, view)
  if hardened then views[copy] = view else rawset(copy, VIEW, view) end
end

--- From now on copies hold no cdata, or may again.
function copies.harden(on)
  hardened = on
end

local function get_value(view)
  if json.edits_of(view.doc) ~= view.edits then
    view.value, view.edits, view.stale = json.text_of(view.doc), json.edits_of(view.doc), false
  end
  return view.value
end

local function get_json(copy)
  local view = view_of(copy)
  if view and not (view.stale and json.edits_of(view.doc) == view.edits) then return (json.root_of(view.doc)) end
  local value
  if view then value = view.value else value = rawget(copy, "value") end
  value = check.bytes_or_null("value", value)
  if value == nil then return nil end
  local doc = json.open_beside(value)
  if not view then
    view = {}
    set_view(copy, view)
    rawset(copy, "value", nil)
    count = count + 1
    open[count] = copy
  end
  view.doc, view.value, view.edits, view.stale = doc, value, 0, false
  return (json.root_of(doc))
end

local function set_value(copy, new)
  local view = view_of(copy)
  if not view then
    rawset(copy, "value", new)
    return
  end
  view.value, view.edits, view.stale = new, json.edits_of(view.doc), true
end

-- The list of headers, in which names may stand since it was empty (copy.headers.source = "a").
local function get_headers(copy)
  local list = rawget(copy, HEADERS)
  if list[1] == nil then
    list = header_codec.list(list, 3)
    rawset(copy, HEADERS, list)
  end
  return list
end

-- copy:header "name"
local function header(copy, name)
  if type(name) ~= "string" then error(("copy:header takes a name, got %s"):format(check.shown(name)), 2) end
  return (header_codec.last(header_codec.list(get_headers(copy), 2), name))
end

--- The metatable of copies, by which they are known. `opening` is called before a view is opened.
function copies.metatable(opening)
  return {
    __index = function(copy, name)
      if name == "json" then
        opening()
        return (get_json(copy))
      end
      if name == "header" then return header end
      if name == "headers" then return (get_headers(copy)) end
      local view = name == "value" and view_of(copy)
      if view then return (get_value(view)) end
    end,
    __newindex = function(copy, name, new)
      if name == "json" then
        set_value(copy, new ~= nil and json.encode(new, 2) or nil)
      elseif name == "value" then
        set_value(copy, new)
      elseif name == "headers" then
        rawset(copy, HEADERS, header_codec.list(new == nil and {} or new, 2))
      elseif FIELDS[name] then
        rawset(copy, name, new)
      else
        error(('a copy of a message has no field "%s"; it has value, json, key, headers, topic, partition, offset, '
          .. "timestamp"):format(tostring(name)), 2)
      end
    end,
  }
end

--- Gives the copies their values back, before the views are closed.
function copies.close()
  for i = 1, count do
    local copy = open[i]
    local value = get_value(view_of(copy))
    set_view(copy, nil)
    rawset(copy, "value", value)
    open[i] = nil
  end
  count = 0
end

return copies
