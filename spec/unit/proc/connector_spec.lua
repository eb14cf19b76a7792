-- SPDX-License-Identifier: MIT
-- The connector's server, with its channels in this process: what one process asks takes nothing from another.
local ffi = require "ffi"
local C = require("spec.support.headers").declare("proc/connector_inside.h")

pcall(ffi.cdef, "int socketpair(int family, int type, int protocol, int fds[2]);")
ffi.cdef [[
struct connector_spec_part { void *bytes; size_t size; };
struct connector_spec_message { void *address; unsigned address_size; struct connector_spec_part *parts;
  size_t part_count; void *control; size_t control_size; int flags; };
long connector_spec_recvmsg(int fd, struct connector_spec_message *message, int flags) __asm__("recvmsg");
long connector_spec_send(int fd, const void *bytes, size_t size, int flags) __asm__("send");
long connector_spec_recv(int fd, void *bytes, size_t size, int flags) __asm__("recv");
int connector_spec_close(int fd) __asm__("close");
]]

local UNIX, SEQPACKET, STREAM, DONTWAIT = 1, 5, 1, 0x40

describe("the connector", function()
  local server, ends, opened

  local function pair(kind)
    local fds = ffi.new "int[2]"
    assert(ffi.C.socketpair(UNIX, kind, 0, fds) == 0)
    opened[#opened + 1], opened[#opened + 2] = fds[0], fds[1]
    return fds[0], fds[1]
  end

  before_each(function()
    opened, ends = {}, {}
    local channels = ffi.new "int[2]"
    for i = 0, 1 do ends[i + 1], channels[i] = pair(SEQPACKET) end
    local list = ffi.new("const char *[1]", { "127.0.0.1:9" })
    server = C.tide_connector_server_new(C.tide_hosts_new(list, 1), channels, 2, (pair(STREAM)))
  end)

  after_each(function()
    for _, fd in ipairs(opened) do ffi.C.connector_spec_close(fd) end
  end)

  -- The socket that a process gets to ask for names by.
  local function open_lookup(channel)
    local request = ffi.new("struct tide_connect_request", { number = 7, kind = C.TIDE_CONNECT_NAMES })
    assert(ffi.C.connector_spec_send(ends[channel], request, ffi.sizeof(request), 0) == ffi.sizeof(request))
    assert.is_true(C.tide_connector_server_turn(server, 1000))
    local answer, control = ffi.new "struct tide_connect_answer", ffi.new "uint64_t[4]"
    local part = ffi.new("struct connector_spec_part", { answer, ffi.sizeof(answer) })
    local message = ffi.new("struct connector_spec_message", { parts = part, part_count = 1,
      control = control, control_size = 32 })
    assert.equal(ffi.sizeof(answer), tonumber(ffi.C.connector_spec_recvmsg(ends[channel], message, DONTWAIT)))
    assert.same({ 7, 0 }, { tonumber(answer.number), answer.error })
    local fd = ffi.cast("int *", control + 2)[0]
    opened[#opened + 1] = fd
    return fd
  end

  it("answers a name for one process while another asks for names without end", function()
    local lookup = open_lookup(1)
    for _ = 1, 300 do open_lookup(2) end
    local question = ffi.new("struct { int32_t version, kind, size; char name[10]; }", { 2, 14, 10, "localhost" })
    assert.equal(22, tonumber(ffi.C.connector_spec_send(lookup, question, 22, 0)))
    assert.is_true(C.tide_connector_server_turn(server, 1000))
    local answer = ffi.new "int32_t[64]"
    assert.is_true(tonumber(ffi.C.connector_spec_recv(lookup, answer, 256, DONTWAIT)) >= 24)
    assert.equal(2, answer[0])
  end)
end)
