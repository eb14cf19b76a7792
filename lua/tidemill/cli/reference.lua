-- SPDX-License-Identifier: MIT
-- cli/reference.lua: shows the option table of a step or setting as text for a terminal, and as Markdown for
-- docs/options.md. scripts/dev/man.lua makes the manual page of it.
local reference = {}

local TYPES = {
  string = "text", strings = "text or list of texts", brokers = "text or list of texts", count = "number",
  number = "number", share = "share", boolean = "true or false", size = "size", time = "time", properties = "table",
  address = "address", tags = "table", network = "true, false or list of texts",
  start = "text or number", functions = "functions", ["function"] = "function", initial = "value or function",
}

local function choices(option)
  local names = {}
  for i, name in ipairs(option.values) do names[i] = '"' .. name .. '"' end
  if option.options then names[#names + 1] = "table" end
  return table.concat(names, ", ")
end

--- Returns what an option takes: 'size or "auto"', 'tide.pool'.
function reference.type(option)
  if option.type == "choice" then return choices(option) end
  if option.type == "setting" then return "tide." .. option.setting end
  local name = TYPES[option.type] or option.type
  if option.also then name = name .. ' or "' .. table.concat(option.also, '", "') .. '"' end
  return option.options and name ~= "table" and name .. " or table" or name
end

--- Returns "required", or the value in force without the option.
function reference.default(option)
  if option.required then return "required" end
  if option.default_text then return option.default_text end
  if option.default == nil then return "none" end
  return tostring(option.default)
end

local function unit(option)
  return option.unit and ", in " .. option.unit or ""
end

--- Returns what an option takes, and "required" or its default: "size, in bytes; default 16MiB".
function reference.kind(option)
  return ("%s%s; %s"):format(reference.type(option), unit(option),
    option.required and "required" or "default " .. reference.default(option))
end

-- Breaks text into lines of at most `width` characters.
local function wrap(text, indent, width)
  local lines, line = {}, indent
  for word in text:gmatch("%S+") do
    if #line + #word + 1 > width and #line > #indent then
      lines[#lines + 1], line = line, indent
    end
    line = line .. (#line > #indent and " " or "") .. word
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end

--- Returns positional values, arguments and options of a step, in one list.
function reference.all_of(spec)
  local all = {}
  if spec.positional then all[1] = spec.positional end
  for _, option in ipairs(spec.arguments or {}) do all[#all + 1] = option end
  for _, option in ipairs(spec.options) do
    all[#all + 1] = option
    for _, inner in ipairs(option.options or {}) do
      all[#all + 1] = setmetatable({ name = option.name .. "." .. inner.name }, { __index = inner })
    end
  end
  return all
end

--- For `tidemill help STEP`.
function reference.text(spec)
  local lines = { "tide." .. spec.name .. ": " .. spec.summary, "", "  " .. spec.example, "" }
  for _, option in ipairs(reference.all_of(spec)) do
    lines[#lines + 1] = ("  %s  (%s)"):format(option.name, reference.kind(option))
    lines[#lines + 1] = wrap(option.help, "      ", 100)
  end
  for i, path in ipairs(spec.paths or {}) do
    if i == 1 then lines[#lines + 1] = "\n  What the address answers:\n" end
    lines[#lines + 1] = ("  %s"):format(path[1])
    lines[#lines + 1] = wrap(path[2], "      ", 100)
  end
  return table.concat(lines, "\n") .. "\n"
end

local function cell(text)
  return (text:gsub("|", "\\|"))
end

--- Returns the table of what an address answers.
function reference.paths(spec)
  local lines = { "| path | what it answers |", "|---|---|" }
  for _, path in ipairs(spec.paths) do lines[#lines + 1] = ("| `%s` | %s |"):format(path[1], cell(path[2])) end
  return table.concat(lines, "\n")
end

--- For docs/options.md.
function reference.markdown(spec)
  local lines = { "## " .. spec.name, "", spec.summary:gsub("^%l", string.upper) .. ".", "", "```lua", spec.example,
    "```", "" }
  local all = reference.all_of(spec)
  if #all > 0 then
    lines[#lines + 1] = "| option | takes | default | |"
    lines[#lines + 1] = "|---|---|---|---|"
  end
  for _, option in ipairs(all) do
    lines[#lines + 1] = ("| `%s` | %s%s | %s | %s |"):format(option.name, cell(reference.type(option)),
      cell(unit(option)), cell(reference.default(option)), cell(option.help))
  end
  if spec.paths then lines[#lines + 1] = "\n" .. reference.paths(spec) end
  return table.concat(lines, "\n") .. "\n"
end

return reference
