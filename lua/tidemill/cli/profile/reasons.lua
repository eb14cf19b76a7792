-- SPDX-License-Identifier: MIT
-- cli/profile/reasons.lua: says in the words of a script's author why LuaJIT does not compile something, and what to
-- do. LuaJIT's own reasons are those of jit.vmdef (traceerr, bcnames); the names of bytecodes and texts are its
-- interface.
local reasons = {}

-- What to use in place of a function of a library.
local INSTEAD = {
  ["string.gsub"] = "use tide.regex.gsub", ["string.match"] = "use tide.regex.match",
  ["string.find"] = "use tide.regex.find, or string.find(s, text, from, true) for a plain text",
  ["string.gmatch"] = "use tide.regex.find in a loop",
  ["unpack"] = "name the values", ["table.sort"] = "sort less often, or keep the list in order while it is made",
  ["os.date"] = "use tide.time.format", ["os.time"] = "use tide.time.now",
  ["print"] = "use tide.log.info", ["io.write"] = "use tide.log.info", ["io.method.write"] = "use tide.log.info",
  ["cjson.decode"] = "use message.json", ["cjson.encode"] = "use message.json, or tide.json.encode",
  ["cjson.safe.decode"] = "use message.json", ["cjson.safe.encode"] = "use message.json, or tide.json.encode",
  ["loadstring"] = "load code once, outside of the function", ["load"] = "load code once, outside of the function",
  ["coroutine.wrap"] = "do without coroutines for each message",
  ["coroutine.resume"] = "do without coroutines for each message",
  ["coroutine.yield"] = "do without coroutines for each message",
  ["string.dump"] = "do it once, outside of the function",
  ["debug.traceback"] = "do it only where something is wrong",
  ["debug.getinfo"] = "do it only where something is wrong",
  ["setfenv"] = "do it once, outside of the function", ["getfenv"] = "do it once, outside of the function",
}

-- { what the bytecode is, what to do }
local BYTECODES = {
  FNEW = { "a function is made here each time (a closure)", "make it once, outside, and pass it what it needs" },
  UCLO = { "a local variable is shared with a function that is made here", "make that function once, outside" },
  VARG = { "a variable number of arguments (...)", "name the arguments" },
  TSETM = { "a table is filled with a variable number of results ({ ... }, { f() })", "name the values" },
  CALLMT = { "a call hands on a variable number of results", "name the values" },
  ISNEXT = { "a loop over pairs", "use an array and ipairs, or for key, value in tide.json.each(view)" },
  ITERN = { "a loop over pairs", "use an array and ipairs, or for key, value in tide.json.each(view)" },
  RETM = { "a variable number of results is returned", "name the results" },
}

-- { pattern of LuaJIT's reason, what it means, what to do }; the first that matches counts.
local TEXTS = {
  { "^trace too long", "the code for one message is too long to be compiled as one piece",
    "split it over two steps, or move what is rare into a function that is seldom called" },
  { "^trace too deep", "calls are nested too deeply to be compiled as one piece", "nest them less, avoid recursion" },
  { "^too many snapshots", "there are too many branches to be compiled as one piece",
    "use a table in place of a long chain of ifs, or split it over two steps" },
  { "^too many PHIs", "too many local variables change in this loop", "use fewer, or keep them in a table" },
  { "^too many spill slots", "too many local variables are in use at once", "use fewer, or split the function" },
  { "^blacklisted", "it calls code that LuaJIT has given up, or for which compilation is switched off",
    "see the other lines of this list, and look for jit.off" },
  { "^loop unroll limit", "a short inner loop comes to its end in a way that cannot be foreseen",
    "nothing, if it takes little time; else give it a fixed number of rounds" },
  { "^call unroll limit", "a function calls itself too often", "use a loop in place of the recursion" },
  { "^JIT compilation disabled", "compilation is switched off here (jit.off)", "remove jit.off" },
  { "^NYI: unsupported C function type", "a C function is called in a way that is not compiled",
    "pass and return no structs by value" },
  { "^NYI: unsupported C type conversion", "a value of C is converted in a way that is not compiled",
    "convert numbers, pointers and structs by themselves" },
  { "^NYI: mixed sparse/dense", "a table is made with mixed keys", "fill it key by key" },
  { "^store with nil or NaN key", "a table is written to with the key nil or NaN", "check the key before" },
  { "^missing metamethod", "a metamethod is missing", "an error was raised here; see the dead letters" },
  { "^bad argument type", "an argument has a type that the function does not take",
    "an error may be raised here; see the dead letters" },
  { "^persistent type instability", "a variable changes its type from round to round",
    "give it the same type in all rounds: begin a number with 0, not nil" },
  { "mcode", "the memory for compiled code is full", "split the transform over two pipelines" },
  { "^machine code too long", "the code for one message is too long to be compiled as one piece",
    "split it over two steps" },
  { "^guard would always fail", "a check could never succeed here", "an error may be raised here" },
}

local function of_function(name)
  local advice = INSTEAD[name] or INSTEAD[name:gsub("^cjson%.safe%.", "cjson.")]
  return ("%s is not compiled (NYI)"):format(name), advice
end

--- What stands in the way, and what to do about it (or nil), for a reason in LuaJIT's words.
function reasons.words(reason)
  local bytecode = reason:match("^NYI: bytecode (%u+)")
  local known = bytecode and BYTECODES[bytecode]
  if known then return ("%s, which is not compiled (NYI: %s)"):format(known[1], bytecode), known[2] end
  if bytecode then return ("something is not compiled (NYI: bytecode %s)"):format(bytecode), nil end
  local name = reason:match("^NYI: unsupported variant of FastFunc ([%w_.]+)")
  if name then
    local text, advice = of_function(name)
    return text:gsub("is not compiled", "is not compiled with these arguments"), advice
  end
  for _, entry in ipairs(TEXTS) do
    if reason:find(entry[1]) then return ("%s (%s)"):format(entry[2], reason), entry[3] end
  end
  return reason, nil
end

local BEGIN = {
  loop = "the loop is interpreted: ",
  branch = "from here on it is interpreted: ",
  call = "the compiled code is left here: ",
}

--- One line for a thing that run/traces.lua told of: { kind, where, reason }.
function reasons.line(found)
  local text, advice
  if found.kind == "call" then
    text, advice = of_function(found.reason)
    if found.reason == "a function of C" then text = "a function of C is called" end
  else
    text, advice = reasons.words(found.reason)
  end
  return ("%s: %s%s%s"):format(found.where, BEGIN[found.kind] or "", text, advice and "; " .. advice or "")
end

return reasons
