-- SPDX-License-Identifier: MIT
-- Which commands a shell text runs: the words where a command stands, seen through what runs another one (env, exec).
-- Not a whole shell: what is quoted, or put together at run time, is not looked into.
local commands = {}

local function set(text)
  local words = {}
  for word in text:gmatch "%S+" do words[word] = true end
  return words
end

local BEFORE = set [[if then else elif do while until time ! { exec env command setsid timeout sudo eval
  have run_limited run_apart]]
local REST_IS_WORDS = set "for case select"

-- The position behind the bracket that closes the one at `at`.
local function behind(text, at)
  local _, stop = text:find(text:sub(at, at) == "(" and "^%b()" or "^%b{}", at)
  return (stop or #text) + 1
end

local Scanner = {}
Scanner.__index = Scanner

function Scanner:word(word, plain)
  if not self.expects then return end
  if word:find "^[%a_][%w_]*%+?=" then
    local array = word:find "=$" and self.text:sub(self.at, self.at) == "("
    if array then self.at = behind(self.text, self.at) end
  elseif REST_IS_WORDS[word] then
    self.expects = false
  elseif word == "[[" then
    self.at, self.expects = (self.text:find("]]", self.at, true) or #self.text) + 2, false
  elseif not BEFORE[word] and not word:find "^[-%d%u]" then
    self.expects = false
    if plain and word:find "^[%l_][%w_+.-]*$" then self.line[#self.line + 1] = word end
  end
end

function Scanner:end_line()
  for _, word in ipairs(self.line) do self.found[word] = true end
  self.line, self.expects = {}, true
end

-- $(...), ${...}, $((...)) and <(...): what is run in there counts too. The position behind it.
function Scanner:expansion(at)
  local text = self.text
  local open = text:sub(at + 1, at + 1)
  if open ~= "(" and open ~= "{" then return at + 1 end
  local stop = behind(text, at + 1)
  local inner = text:sub(at + 2, stop - 2)
  if open == "(" and inner:sub(1, 1) ~= "(" then commands.scan(inner, self.found) end
  if open == "{" then commands.scan((inner:gsub("^[^$]*", "")), self.found) end
  return stop
end

function Scanner:double_quoted(at)
  local text = self.text
  while at <= #text do
    local char = text:sub(at, at)
    if char == '"' then return at + 1 end
    if char == "\\" then at = at + 2
    elseif char == "$" then at = self:expansion(at)
    else at = at + 1 end
  end
  return at
end

-- What is given to `sh -c` is a shell text of its own.
function Scanner:single_quoted(at)
  local stop = self.text:find("'", at + 1, true) or #self.text
  if self.text:sub(1, at - 1):find "sh %-c $" then commands.scan(self.text:sub(at + 1, stop - 1), self.found) end
  return stop + 1
end

-- One word from `at` on, with the quotes in it.
function Scanner:read_word(at)
  local text, from, plain = self.text, at, true
  while at <= #text do
    local char = text:sub(at, at)
    if char:find "[%s;&|()<>]" then break end
    plain = plain and not char:find "[\"'$`\\]"
    if char == "'" then at = self:single_quoted(at)
    elseif char == '"' then at = self:double_quoted(at + 1)
    elseif char == "$" then at = self:expansion(at)
    elseif char == "\\" then at = at + 2
    else at = at + 1 end
  end
  self.at = at
  self:word(text:sub(from, at - 1), plain)
end

function Scanner:bracket(char)
  local text = self.text
  if char == "(" and text:sub(self.at, self.at + 1) == "((" then
    self.at = behind(text, self.at) -- arithmetic
  elseif char == "(" and text:sub(self.at, self.at + 1) == "()" then
    self.line[#self.line] = nil -- the name of a function
    self.at, self.expects = self.at + 2, true
  elseif char == "(" then
    self.depth, self.at, self.expects = self.depth + 1, self.at + 1, true
  else
    if self.depth == 0 then self.line = {} end -- the pattern of a case
    self.depth, self.at, self.expects = math.max(0, self.depth - 1), self.at + 1, true
  end
end

function Scanner:step()
  local text, at = self.text, self.at
  local char = text:sub(at, at)
  if text:find("^\\\n", at) then self.at = at + 2
  elseif char == "#" then self.at = text:find("\n", at, true) or #text + 1 -- one within a word is read with the word
  elseif text:find("^[<>]%(", at) then self.at = self:expansion(at)
  elseif text:find("^%d?[<>]", at) then
    local _, stop = text:find("^%d?[<>]+&?[%s-]*", at) -- a redirection and its file
    local expects = self.expects
    self.expects = false
    self:read_word(stop + 1)
    self.expects = expects
  elseif char == "\n" or char == ";" then self.at = at + 1; self:end_line()
  elseif char == "&" or char == "|" then self.at, self.expects = at + 1, true
  elseif char == "(" or char == ")" then self:bracket(char)
  elseif char:find "%s" then self.at = at + 1
  else self:read_word(at) end
end

--- Adds the names of the commands to `found`, a set.
function commands.scan(text, found)
  local scanner = { text = text, at = 1, expects = true, depth = 0, line = {}, found = found or {} }
  setmetatable(scanner, Scanner)
  while scanner.at <= #text do scanner:step() end
  scanner:end_line()
  return scanner.found
end

--- The recipes and $(shell ...) of a Makefile as a shell text.
function commands.of_makefile(text)
  text = text:gsub("\\\n%s*", " ")
  local lines = {}
  for line in text:gmatch "[^\n]+" do
    for called in line:gmatch "%$(%b())" do
      if called:find "^%(shell " then lines[#lines + 1] = called:sub(8, -2) end
    end
    if line:find "^\t" then
      line = line:gsub("%$%(Q%)", ""):gsub("^\t@?", ""):gsub("%$%(CC%)", "gcc"):gsub("%$%(CXX%)", "g++")
        :gsub("%$%(MAKE%)", "make"):gsub("%$%b()", '"x"'):gsub("%$%$", "$"):gsub("%$[@<^]", '"x"')
      lines[#lines + 1] = line
    end
  end
  return table.concat(lines, "\n")
end

return commands
