/* SPDX-License-Identifier: MIT
 * engine/json/json.h - JSON documents read in place and changed by splicing.
 *
 * A document is checked as a whole when it is opened (RFC 8259; strict), by a structural index in the manner of simdjson
 * and one pass over it. That index is kept: one token for each of { } [ ] , : and for each start of a string, number or
 * literal. A node is the number of the token that a value starts with. Nothing is
 * decoded until it is read. Changes are kept beside the document; writing copies the untouched bytes.
 *
 * A caller names a member of an object by `key` (unescaped bytes), an element of an array by a `key` of
 * NULL and its index, from 1, as `length`. Where a key stands twice, the last one is read and all are
 * changed. Elements of an array keep their indexes while the document is open: one that was deleted
 * reads as nothing, and the text that is written closes the gap.
 *
 * Functions that may fail return TIDE_EDATA with tide_error(). The C++ of this folder includes this
 * header inside extern "C". Lengths and offsets in bytes. */
#ifndef TIDE_JSON_JSON_H
#define TIDE_JSON_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TIDE_JSON_DEPTH = 1024, /* the deepest nesting of arrays and objects that is read or written */
    TIDE_JSON_NUMBER = 32,  /* bytes, at most, of a number that is written */
    TIDE_JSON_WHOLE = -1    /* as a node: the document with the white space around it */
};

enum tide_json_kind {
    TIDE_JSON_NONE = 0, /* no such member; as a value to set: delete it */
    TIDE_JSON_NULL = 1,
    TIDE_JSON_FALSE = 2,
    TIDE_JSON_TRUE = 3,
    TIDE_JSON_DOUBLE = 4, /* any number that is not one of the next two */
    TIDE_JSON_INT64 = 5,  /* an integer beyond 2^53, which a double may not hold */
    TIDE_JSON_UINT64 = 6, /* one beyond the range of int64_t */
    TIDE_JSON_BIG = 7,    /* one beyond both: its text is in `bytes` and `length` */
    TIDE_JSON_STRING = 8,
    TIDE_JSON_ARRAY = 9,
    TIDE_JSON_OBJECT = 10
};

struct tide_json_doc {
    struct tide_json *json;
    struct tide_json_doc
        *parent; /* it is a value assigned in there; NULL = it is a document itself */
    const char *bytes;
    /* By token: where it starts; after the last one stands the document's length. */
    const uint32_t *at;
    /* By token, for values only: for an opening bracket the closing token and the other way round, for a string, number or
     * literal its own. So link[v] + 1 is the token after value v. */
    uint32_t *link;
    int32_t length;
    int32_t count; /* of tokens */
    int32_t edits; /* number of changes, of it or of a value assigned in it */
    int32_t kind;  /* of the root, token 0 */
    bool escaped;  /* there is a backslash somewhere */
};

/** Documents that live together, and what the last call found. tide_json_reset closes them all. */
struct tide_json {
    double serial;              /* raised by each reset: a view with an older number is closed */
    struct tide_json_doc *root; /* the last one opened by tide_json_open */
    /* The value found, by its kind. */
    double number;
    int64_t integer;
    uint64_t natural;
    const char
        *bytes; /* STRING: unescaped; BIG: the digits. Without a NUL; valid until the reset */
    int32_t length;
    int32_t node; /* ARRAY, OBJECT: with doc */
    struct tide_json_doc *doc;
    /* tide_json_next: of the member found, the key (NULL in an array) and its length or the index. */
    const char *key;
    int32_t key_length;
    int32_t position;
    /* The caller's: members will not be found by their keys, so opening a document need not prepare for that. */
    bool without_keys;
};

struct tide_json *tide_json_new(void);
void tide_json_free(struct tide_json *json); /* NULL is fine */
/** Closes all documents. */
void tide_json_reset(struct tide_json *json);

/** Opens a document and finds its root: returns the kind, or TIDE_EDATA, which names the first byte that is wrong (counted
 * from 0). `bytes` stay the caller's, unchanged until the reset; no byte after `length` is read. */
int tide_json_open(struct tide_json *json, const char *bytes, int32_t length);
/** The same on a copy of the bytes. */
int tide_json_open_copy(struct tide_json *json, const char *bytes, int32_t length);

/** The kind of the member at key or index in `node`; TIDE_JSON_NONE if there is none. TIDE_EDATA, here and in
 * tide_json_next: the value was assigned and nests too deep to be read. */
int tide_json_get(struct tide_json_doc *doc, int32_t node, const char *key, int32_t length);
/** The kind of `node` itself. */
int tide_json_value(struct tide_json_doc *doc, int32_t node);
/** Members of an object (each key once), or the highest index of an array. */
int32_t tide_json_count(struct tide_json_doc *doc, int32_t node);
/** Walks the members from a position, 0 at first, then json->position. TIDE_JSON_NONE at the end.
 * Members may be changed or deleted on the way; those added may or may not be seen. */
int tide_json_next(struct tide_json_doc *doc, int32_t node, int32_t position);

/** Changes one member, or adds it after the last one. 0, or TIDE_EDATA: an index beyond the end, a key
 * for an array, NaN, infinity, bytes that are not UTF-8. A double that was read from one of these documents is written
 * as it stood there, when tide_json_read_text knows it. */
int tide_json_set_double(struct tide_json_doc *doc, int32_t node, const char *key, int32_t length,
                         double number);
int tide_json_set_integer(struct tide_json_doc *doc, int32_t node, const char *key, int32_t length,
                          int64_t number);
int tide_json_set_natural(struct tide_json_doc *doc, int32_t node, const char *key, int32_t length,
                          uint64_t number);
int tide_json_set_string(struct tide_json_doc *doc, int32_t node, const char *key, int32_t length,
                         const char *bytes, int32_t size);
/** NULL, FALSE, TRUE, or NONE: deletes it. */
int tide_json_set_kind(struct tide_json_doc *doc, int32_t node, const char *key, int32_t length,
                       int kind);
/** Valid JSON text (of tide_json_text or the table encoder); it is copied. */
int tide_json_set_text(struct tide_json_doc *doc, int32_t node, const char *key, int32_t length,
                       const char *text, int32_t size);

/** Writes the text of `node` with all changes. Returns its length, or, when that is above `room`, the
 * length with a minus sign, and nothing is written. */
double tide_json_write(struct tide_json_doc *doc, int32_t node, char *to, size_t room);
/** The same into memory that lives until the reset: sets `bytes` and `length`. 0, or TIDE_EDATA beyond 2 GiB. */
int tide_json_text(struct tide_json_doc *doc, int32_t node);

/* These are also used by the table decoder and encoder (lua/tidemill/run/json_table.c). */

/** Reads the number in bytes [from, to), which was checked: the kind; the value is in `json`. Bytes up to
 * `limit` may be read. */
int tide_json_read_number(struct tide_json *json, const char *from, const char *to,
                          const char *limit);
/** The text that a double was read from since the reset, so that a number which goes from field to field keeps its bytes
 * (1.0, 1.50, more digits than a double has). Its length, or 0: it was not read lately, two texts stood for it, or it is
 * an integer up to 2^53, as scripts write themselves: of those only the number read last counts, and only when `newest`
 * says so. */
int32_t tide_json_read_text(const struct tide_json *json, double number, bool newest,
                            const char **text);
/** The shortest text that reads back as the same number. Not for NaN or infinity. Returns its length; up to
 * TIDE_JSON_NUMBER bytes are written to. */
int tide_json_write_double(double number, char *to);
int tide_json_write_integer(int64_t number, char *to);
int tide_json_write_natural(uint64_t number, char *to);
/** The offset after the string, key, number or literal at `token`. */
uint32_t tide_json_end(const struct tide_json_doc *doc, uint32_t token);
/** Unescapes string bytes [from, to), which were checked. Returns the length, at most to - from. */
int32_t tide_json_unescape(const char *from, const char *to, char *text);
/** Writes a string with quotes, 6 * length + 2 bytes at most. The length, or -1: it is not UTF-8. */
int64_t tide_json_quote(const char *bytes, size_t length, char *to);

/** Tells what is wrong with a document, by a plain parser that shares no code with the index: TIDE_OK, or TIDE_EDATA with
 * tide_error(). */
int tide_json_check(const char *bytes, size_t length);

#endif
