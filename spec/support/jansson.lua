-- SPDX-License-Identifier: MIT
-- The reference for JSON: libjansson (strict, keeps 64-bit integers, the last of equal keys counts) by FFI.
-- It differs where the RFC leaves room: nesting up to 2048, no integers beyond int64_t.
local ffi = require 'ffi'

ffi.cdef [[
typedef struct json_t { int type; volatile size_t refcount; } json_t;
typedef struct { int line, column, position; char source[80], text[160]; } json_error_t;
json_t *json_loadb(const char *buffer, size_t length, size_t flags, json_error_t *error);
void json_delete(json_t *json);
size_t json_array_size(const json_t *array);
json_t *json_array_get(const json_t *array, size_t index);
void *json_object_iter(json_t *object);
void *json_object_iter_next(json_t *object, void *iter);
const char *json_object_iter_key(void *iter);
size_t json_object_iter_key_len(void *iter);
json_t *json_object_iter_value(void *iter);
const char *json_string_value(const json_t *string);
size_t json_string_length(const json_t *string);
long long json_integer_value(const json_t *integer);
double json_real_value(const json_t *real);
]]
local J = ffi.load 'libjansson.so.4'

local jansson = {}

local DECODE_ANY, ALLOW_NUL = 4, 16
local OBJECT, ARRAY, STRING, INTEGER, REAL, TRUE, FALSE = 0, 1, 2, 3, 4, 5, 6
local EXACT = 2 ^ 53

local function load(text)
  local error = ffi.new 'json_error_t'
  local root = J.json_loadb(text, #text, DECODE_ANY + ALLOW_NUL, error)
  if root == nil then return nil, ffi.string(error.text) end
  return root
end

local function free(root)
  if root.type > REAL then return end -- true, false and null are shared
  root.refcount = root.refcount - 1
  if root.refcount == 0 then J.json_delete(root) end
end

local convert

local function object(node)
  local map = {}
  local iter = J.json_object_iter(node)
  while iter ~= nil do
    map[ffi.string(J.json_object_iter_key(iter), J.json_object_iter_key_len(iter))] =
      convert(J.json_object_iter_value(iter))
    iter = J.json_object_iter_next(node, iter)
  end
  return { kind = 'object', map = map }
end

local function array(node)
  local model = { kind = 'array', n = tonumber(J.json_array_size(node)), list = {} }
  for i = 1, model.n do model.list[i] = convert(J.json_array_get(node, i - 1)) end
  return model
end

local function integer(node)
  local value = J.json_integer_value(node)
  local number = tonumber(value)
  return math.abs(number) <= EXACT and ffi.cast('int64_t', number) == value and number or value
end

-- A model: scalars as Lua values (json.null for null), { kind = 'object', map }, { kind = 'array', n, list }.
function convert(node)
  local kind = node.type
  if kind == OBJECT then return object(node) end
  if kind == ARRAY then return array(node) end
  if kind == STRING then return ffi.string(J.json_string_value(node), J.json_string_length(node)) end
  if kind == INTEGER then return integer(node) end
  if kind == REAL then return J.json_real_value(node) end
  if kind == TRUE then return true end
  if kind == FALSE then return false end
  return require('cjson').null
end

--- Whether the text is JSON.
function jansson.accepts(text)
  local root, problem = load(text)
  if not root then return false, problem end
  free(root)
  return true
end

--- The text as a model; nil and what is wrong.
function jansson.decode(text)
  local root, problem = load(text)
  if not root then return nil, problem end
  local model = convert(root)
  free(root)
  return model
end

return jansson
