-- SPDX-License-Identifier: MIT
-- Certificates for specs, made by openssl: authorities, and what they sign for brokers and clients.
local files = require "spec.house.files"
local process = require "spec.support.process"

local certificates = {}

local REQUEST = { "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
  "-days", "2" }

local function make(folder, name, more)
  local arguments = { unpack(REQUEST) }
  for _, word in ipairs { "-subj", "/CN=tidemill", "-keyout", folder .. "/" .. name .. ".key", "-out",
    folder .. "/" .. name .. ".pem", unpack(more) } do
    arguments[#arguments + 1] = word
  end
  local code, _, err = process.run(arguments, { env = { LD_PRELOAD = false } }) -- a sanitizer is not for openssl
  assert(code == 0, err)
end

--- Makes an authority: NAME.pem is its certificate.
function certificates.authority(folder, name)
  make(folder, name, {})
end

--- Makes a certificate that an authority signs, for 127.0.0.1: NAME.pem, NAME.key, and NAME.both with both of them.
function certificates.signed(folder, authority, name)
  make(folder, name, { "-CA", folder .. "/" .. authority .. ".pem", "-CAkey", folder .. "/" .. authority .. ".key",
    "-addext", "subjectAltName=IP:127.0.0.1" })
  local both = assert(io.open(folder .. "/" .. name .. ".both", "w"))
  both:write(files.read(folder .. "/" .. name .. ".key"), files.read(folder .. "/" .. name .. ".pem"))
  both:close()
end

return certificates
