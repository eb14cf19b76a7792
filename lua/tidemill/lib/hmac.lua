-- SPDX-License-Identifier: MIT
-- lib/hmac.lua: tide.hmac, keyed hashes (RFC 2104) by libcrypto.
--   sha1 | sha256 | sha384 | sha512 (key, text[, "raw"]) -> hex digits, or the bytes
--   equal(a, b) -> true or false, in a time that does not tell where two texts of one length differ
local ffi = require("ffi")
local arguments = require("tidemill.lib.arguments")
local library = require("tidemill.lib.library")

local hmac = {}

local crypto = library.load("hmac", "libcrypto.so.3", "libssl3", [[
  const void *EVP_sha1(void);
  const void *EVP_sha256(void);
  const void *EVP_sha384(void);
  const void *EVP_sha512(void);
  unsigned char *HMAC(const void *kind, const char *key, int key_length, const char *text, size_t length,
    unsigned char *digest, unsigned *digest_length);
  int CRYPTO_memcmp(const char *, const char *, size_t);
]])
local RAW = { raw = true }
local digest, length = ffi.new("unsigned char[64]"), ffi.new("unsigned[1]")

for _, name in ipairs { "sha1", "sha256", "sha384", "sha512" } do
  local what, kind = "tide.hmac." .. name, nil
  hmac[name] = function(key, text, form)
    arguments.text(key, what .. ", as a key,")
    arguments.text(text, what)
    arguments.choice(form, what, RAW)
    kind = kind or crypto["EVP_" .. name]()
    if crypto.HMAC(kind, key, #key, text, #text, digest, length) == nil then error(what .. ": libcrypto failed", 2) end
    local bytes = ffi.string(digest, length[0])
    if form == "raw" then return bytes end
    return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
  end
end

function hmac.equal(a, b)
  arguments.text(a, "tide.hmac.equal")
  arguments.text(b, "tide.hmac.equal")
  return #a == #b and crypto.CRYPTO_memcmp(a, b, #a) == 0
end

return hmac
