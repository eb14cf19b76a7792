-- SPDX-License-Identifier: MIT
-- libavro, Apache's library in C (libavro-dev): what it reads and writes is what tide.avro is held against.
local ffi = require "ffi"

ffi.cdef [[
  typedef struct { void *iface; void *self; } avro_value_t;
  typedef struct avro_schema_of_spec *avro_schema_t;
  typedef struct avro_reader_of_spec *avro_reader_t;
  typedef struct avro_writer_of_spec *avro_writer_t;
  int avro_schema_from_json_length(const char *, size_t, avro_schema_t *);
  void *avro_generic_class_from_schema(avro_schema_t);
  int avro_generic_value_new(void *, avro_value_t *);
  void avro_value_decref(avro_value_t *);
  int avro_schema_decref(avro_schema_t);
  avro_reader_t avro_reader_memory(const char *, int64_t);
  void avro_reader_free(avro_reader_t);
  int avro_value_read(avro_reader_t, avro_value_t *);
  int avro_value_sizeof(avro_value_t *, size_t *);
  avro_writer_t avro_writer_memory(const char *, int64_t);
  void avro_writer_free(avro_writer_t);
  int64_t avro_writer_tell(avro_writer_t);
  int avro_value_write(avro_writer_t, avro_value_t *);
  int avro_value_to_json(const avro_value_t *, int, char **);
  const char *avro_strerror(void);
  void free(void *);
]]
local C = ffi.load("libavro.so")

local libavro = {}

local function checked(status)
  if status ~= 0 then error(ffi.string(C.avro_strerror()), 0) end
end

local function take(value, bytes, as_json)
  local reader = C.avro_reader_memory(bytes, #bytes)
  local status = C.avro_value_read(reader, value)
  C.avro_reader_free(reader)
  checked(status)
  local room = #bytes * 2 + 64
  local to = ffi.new("char[?]", room)
  local writer = C.avro_writer_memory(to, room)
  status = C.avro_value_write(writer, value)
  local size = C.avro_writer_tell(writer)
  C.avro_writer_free(writer)
  checked(status)
  if not as_json then return ffi.string(to, size) end
  local text = ffi.new("char *[1]")
  checked(C.avro_value_to_json(value, 1, text))
  local json = ffi.string(text[0])
  ffi.C.free(text[0]) -- of the process: a sanitizer has its own
  return ffi.string(to, size), json
end

--- What libavro reads of bytes by a schema: written again, and as JSON when that is asked for. Raises what it
--- says of bad ones.
function libavro.read(schema, bytes, as_json)
  local made, value = ffi.new("avro_schema_t[1]"), ffi.new("avro_value_t[1]")
  checked(C.avro_schema_from_json_length(schema, #schema, made))
  checked(C.avro_generic_value_new(C.avro_generic_class_from_schema(made[0]), value))
  local ok, again, json = pcall(take, value, bytes, as_json)
  C.avro_value_decref(value)
  C.avro_schema_decref(made[0])
  if not ok then error(again, 0) end
  return again, json
end

return libavro
