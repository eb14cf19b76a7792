-- SPDX-License-Identifier: MIT
-- lib/curl.lua: what lib/http.lua needs of libcurl. It is opened when a script names tide.http, and not before, since
-- it brings thirty libraries along.
--
-- The sandbox has no pair of sockets, which libcurl's own resolver wants: names are looked up here, by getaddrinfo(),
-- and given to it (CURLOPT_RESOLVE). Bodies and headers go to memory by the C library's streams, as functions of Lua
-- that C calls are not safe in compiled code.
local ffi = require("ffi")
local library = require("tidemill.lib.library")

local curl = {}

local C = library.load("http", "libcurl.so.4", "libcurl4", [[
  typedef struct { int msg; void *easy; union { void *whatever; int result; } data; } tide_curl_done;
  typedef struct tide_curl_list { char *data; struct tide_curl_list *next; } tide_curl_list;
  int curl_global_init(long);
  void *curl_easy_init(void);
  void curl_easy_reset(void *);
  int curl_easy_setopt(void *, int, ...);
  int curl_easy_getinfo(void *, int, ...);
  const char *curl_easy_strerror(int);
  tide_curl_list *curl_slist_append(tide_curl_list *, const char *);
  void curl_slist_free_all(tide_curl_list *);
  void *curl_multi_init(void);
  int curl_multi_setopt(void *, int, ...);
  int curl_multi_add_handle(void *, void *);
  int curl_multi_remove_handle(void *, void *);
  int curl_multi_perform(void *, int *);
  int curl_multi_poll(void *, void *, unsigned, int, int *);
  tide_curl_done *curl_multi_info_read(void *, int *);
  const char *curl_multi_strerror(int);
]], "tide_curl_done")
-- Names of our own, as a script may declare those of the C library in its way.
library.declare([[
  typedef struct { char *data; size_t size; } tide_stream;
  struct tide_address { int flags, family, socktype, protocol; unsigned length; const void *address; char *name;
    struct tide_address *next; };
  void *tide_c_open_memstream(char **, size_t *) __asm__("open_memstream");
  int tide_c_fclose(void *) __asm__("fclose");
  void tide_c_free(void *) __asm__("free");
  int tide_c_getpid(void) __asm__("getpid");
  int tide_c_socket(int, int, int) __asm__("socket");
  int tide_c_close(int) __asm__("close");
  int tide_c_getaddrinfo(const char *, const char *, const struct tide_address *, struct tide_address **)
    __asm__("getaddrinfo");
  void tide_c_freeaddrinfo(struct tide_address *) __asm__("freeaddrinfo");
  const char *tide_c_gai_strerror(int) __asm__("gai_strerror");
  int tide_c_getnameinfo(const void *, unsigned, char *, unsigned, char *, unsigned, int) __asm__("getnameinfo");
]], "tide_stream")
curl.C = C

-- From libcurl's header: a number's kind is its ten thousands: long 0, pointer 10000, off_t 30000.
curl.OPTION = { WRITEDATA = 10001, URL = 10002, ERRORBUFFER = 10010, POSTFIELDS = 10015, HTTPHEADER = 10023,
  HEADERDATA = 10029, CUSTOMREQUEST = 10036, NOBODY = 44, POST = 47, CAINFO = 10065, HTTP_VERSION = 84, NOSIGNAL = 99,
  POSTFIELDSIZE_LARGE = 30120, TIMEOUT_MS = 155, CONNECTTIMEOUT_MS = 156, NOPROXY = 10177, RESOLVE = 10203,
  PROTOCOLS_STR = 10318, PROTOCOLS = 181 }
curl.HTTP_1_1, curl.HTTP_AND_HTTPS = 2, 3
local RESPONSE_CODE, OS_ERRNO, SIZE_DOWNLOAD, MAXCONNECTS = 0x200000 + 2, 0x200000 + 25, 0x600000 + 8, 6
local EPERM, EACCES = 1, 13
local AF_INET = 2
local KEPT_CONNECTIONS = 64
local STREAM, NUMERIC, NO_NAME = 1, 1, -2 -- SOCK_STREAM, NI_NUMERICHOST, EAI_NONAME

local long, off_t = ffi.typeof("long"), ffi.typeof("int64_t")

--- Sets an option of an easy handle to a number, a text (which libcurl copies, but for POSTFIELDS) or a pointer.
function curl.set(easy, option, value)
  local number = curl.OPTION[option]
  if type(value) == "number" then value = ffi.cast(number >= 30000 and off_t or long, value) end
  return C.curl_easy_setopt(easy, number, value)
end

-- Where distributions keep the certificates of all authorities: Debian and Ubuntu, RHEL and Fedora, others.
local AUTHORITIES = { "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem" }
local authorities -- the first of these files; false when none is there

--- The file with the system's certificates of authorities; nil when there is none.
function curl.authorities()
  if authorities == nil then
    authorities = false
    for _, path in ipairs(AUTHORITIES) do
      local file = not authorities and io.open(path, "rb")
      if file then
        authorities = path
        file:close()
      end
    end
  end
  return authorities or nil
end

local own, multi -- the process that has made `multi`

--- The multi handle of this process, which keeps the connections.
function curl.multi()
  local process = ffi.C.tide_c_getpid()
  if own ~= process then
    if own == nil and C.curl_global_init(3) ~= 0 then error("tide.http: libcurl cannot begin", 0) end
    -- That of the parent is left alone: its sockets are the parent's too.
    own, multi = process, C.curl_multi_init()
    C.curl_multi_setopt(multi, MAXCONNECTS, ffi.cast(long, KEPT_CONNECTIONS))
  end
  return multi
end

local status, size = ffi.new("long[1]"), ffi.new("int64_t[1]")

function curl.status_of(easy)
  C.curl_easy_getinfo(easy, RESPONSE_CODE, status)
  return tonumber(status[0])
end

local function is_refusal(number)
  return number == EACCES or number == EPERM
end

--- Whether the kernel lets this process have no such connection, as the sandbox has it do. libcurl does not tell why
--- it got no socket.
function curl.is_forbidden(easy)
  C.curl_easy_getinfo(easy, OS_ERRNO, status)
  if status[0] ~= 0 then return is_refusal(tonumber(status[0])) end
  local socket = ffi.C.tide_c_socket(AF_INET, STREAM, 0)
  if socket < 0 then return is_refusal(ffi.errno()) end
  ffi.C.tide_c_close(socket)
  return false
end

--- How many bytes of the body there are so far.
function curl.size_of(easy)
  C.curl_easy_getinfo(easy, SIZE_DOWNLOAD, size)
  return tonumber(size[0])
end

--- Memory that libcurl writes to, as a FILE *.
function curl.stream()
  local stream = ffi.new("struct { tide_stream to; void *file; }")
  local start = ffi.cast("char *", stream)
  stream.file = ffi.C.tide_c_open_memstream(ffi.cast("char **", start), ffi.cast("size_t *", start + 8))
  if stream.file == nil then error("tide.http: no memory for an answer", 0) end
  return stream
end

--- Closes it; what was written to it.
function curl.take(stream)
  ffi.C.tide_c_fclose(stream.file)
  local text = ffi.string(stream.to.data, stream.to.size)
  ffi.C.tide_c_free(stream.to.data)
  return text
end

local name = ffi.new("char[64]")

--- The addresses of a host, as text, one after another with commas; nil and the reason.
function curl.look_up(host)
  local hints, list = ffi.new("struct tide_address"), ffi.new("struct tide_address *[1]")
  hints.socktype = STREAM
  local code = ffi.C.tide_c_getaddrinfo(host, nil, hints, list)
  if code ~= 0 then
    return nil, code == NO_NAME and "no such host, or none that `network` lists"
      or ffi.string(ffi.C.tide_c_gai_strerror(code))
  end
  local texts, one = {}, list[0]
  while one ~= nil do
    if ffi.C.tide_c_getnameinfo(one.address, one.length, name, 64, nil, 0, NUMERIC) == 0 then
      local text = ffi.string(name)
      texts[#texts + 1] = text:find(":", 1, true) and "[" .. text .. "]" or text
    end
    one = one.next
  end
  ffi.C.tide_c_freeaddrinfo(list[0])
  return table.concat(texts, ",")
end

return curl
