-- SPDX-License-Identifier: MIT
-- A headless Chromium that a spec drives by its DevTools protocol: one start for many looks, since a start is slow.
-- What pages log and which addresses they ask is kept. The protocol is JSON over a WebSocket, of which only what is
-- needed is here: text frames, without a mask (a mask of zeros).
local cjson = require "cjson"
local installed = require "spec.support.installed"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local socket = require "socket"
local http = require "socket.http"
local wait = require "spec.support.wait"

local browser = {}
local Browser = {}
Browser.__index = Browser

local FLAGS = { "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
  "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
  "--remote-debugging-port=0" }

local function contents(path)
  local file = io.open(path, "rb")
  local text = file and file:read("*a")
  if file then file:close() end
  return text
end

-- The address of the WebSocket of its tab: host, port, path.
local function page_of(folder)
  local port = wait.until_true(function()
    return (contents(folder .. "/DevToolsActivePort") or ""):match("^(%d+)\n")
  end, 60, "the browser")
  return wait.until_true(function()
    for _, target in ipairs(cjson.decode(http.request("http://127.0.0.1:" .. port .. "/json/list") or "[]")) do
      if target.type == "page" then return target.webSocketDebuggerUrl end
    end
  end, 60, "a page of the browser"):match("^ws://([^:/]+):(%d+)(/.*)$")
end

local function send_frame(self, text)
  local length = #text < 126 and string.char(0x80 + #text)
    or #text < 65536 and string.char(0x80 + 126, math.floor(#text / 256), #text % 256)
  assert(self.socket:send("\129" .. length .. "\0\0\0\0" .. text))
end

local function receive_frame(self)
  local function take(count) return assert(self.socket:receive(count)) end
  local text = ""
  while true do
    local first, length = take(2):byte(1, 2)
    if length >= 126 then
      local bytes = length == 126 and 2 or 8
      length = 0
      for _, byte in ipairs { take(bytes):byte(1, -1) } do length = length * 256 + byte end
    end
    text = text .. (length > 0 and take(length) or "")
    if first >= 128 then return text end
  end
end

-- What pages do meanwhile.
local function note(self, event)
  local method, params = event.method, event.params
  if method == "Network.requestWillBeSent" then
    self.requests[#self.requests + 1] = params.request.url
  elseif method == "Log.entryAdded" and params.entry.level == "error" then
    self.errors[#self.errors + 1] = params.entry.text .. " " .. tostring(params.entry.url)
  elseif method == "Runtime.exceptionThrown" then
    self.errors[#self.errors + 1] = cjson.encode(params.exceptionDetails)
  elseif method == "Runtime.consoleAPICalled" or method == "Page.javascriptDialogOpening" then
    self.errors[#self.errors + 1] = method .. " " .. cjson.encode(params)
  end
end

--- Sends a command of the protocol and returns its result.
function Browser:call(method, params)
  self.id = self.id + 1
  send_frame(self, cjson.encode { id = self.id, method = method, params = params })
  while true do
    local answer = cjson.decode(receive_frame(self))
    if answer.id == self.id then
      assert(not answer.error, answer.error and answer.error.message)
      return answer.result
    end
    if not answer.id then note(self, answer) end
  end
end

--- The value of a JavaScript expression in its tab.
function Browser:evaluate(script)
  local result = self:call("Runtime.evaluate", { expression = script, returnByValue = true })
  assert(not result.exceptionDetails, cjson.encode(result.exceptionDetails))
  return result.result.value
end

--- The text that people see of the first element that a selector finds; nil when there is none, or it is hidden.
function Browser:text(selector)
  local script = "(() => { const found = document.querySelector(%s); return found && !found.hidden ? "
    .. "found.innerText : null })()"
  local text = self:evaluate(script:format(cjson.encode(selector)))
  return text ~= cjson.null and text or nil
end

--- Waits until an element shows a text (a plain one); returns the whole text of the element.
function Browser:wait_for(selector, text)
  local seen
  return wait.until_true(function()
    wait.pause(50)
    seen = self:text(selector)
    return seen and seen:find(text, 1, true) and seen
  end, function() return ("%q in %s, which has %s"):format(text, selector, tostring(seen)) end)
end

function Browser:open(url)
  self:call("Page.navigate", { url = url })
end

--- The size of the window, and whether the system is dark.
function Browser:look(width, height, dark)
  self:call("Emulation.setDeviceMetricsOverride", { width = width, height = height, deviceScaleFactor = 1,
    mobile = false })
  self:call("Emulation.setEmulatedMedia", { features = { { name = "prefers-color-scheme",
    value = dark and "dark" or "light" } } })
end

--- A picture of the window, as PNG in base64.
function Browser:picture()
  return self:call("Page.captureScreenshot", { format = "png" }).data
end

--- Starts a browser with an empty page. process.stop_all() ends it. errors: what pages have logged as an error;
--- requests: the addresses they have asked.
function browser.start()
  local folder = pipeline_file.folder()
  local argv = { installed.chromium(), unpack(FLAGS) }
  argv[#argv + 1] = "--user-data-dir=" .. folder
  argv[#argv + 1] = "about:blank"
  local started = process.start(argv, { env = { LD_PRELOAD = false } }) -- a sanitizer is not for it
  local self = setmetatable({ process = started, id = 0, errors = {}, requests = {} }, Browser)
  local host, port, path = page_of(folder)
  self.socket = assert(socket.connect(host, port))
  self.socket:settimeout(60)
  self.socket:send(("GET %s HTTP/1.1\r\nHost: %s:%s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    .. "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"):format(path, host, port))
  repeat local line = assert(self.socket:receive("*l")) until line == ""
  for _, domain in ipairs { "Page", "Runtime", "Log", "Network" } do self:call(domain .. ".enable") end
  return self
end

return browser
