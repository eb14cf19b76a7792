/* SPDX-License-Identifier: MIT
 * scripts/fuzz/fuzz.h - what the fuzz targets share. Each file of targets/ is a target: one in C defines
 * LLVMFuzzerTestOneInput(), one in Lua returns a function of a string (lua.c calls it). A target does not only wait for
 * a crash: it checks what must hold whatever the bytes are, by fuzz_require() or error().
 *
 * The same targets are built twice: by clang with libFuzzer, to find inputs (run.sh), and by any compiler with replay.c,
 * which runs the files that were kept (spec/fuzz/replay_spec.lua). */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *count, char ***arguments);

/** The bytes of an input that are not used yet. What is read beyond the end is 0. */
struct fuzz_input {
    const uint8_t *at;
    size_t left;
};

uint8_t fuzz_byte(struct fuzz_input *input);
/** 0 to `below` - 1; takes one byte, so `below` is at most 256. */
uint32_t fuzz_below(struct fuzz_input *input, uint32_t below);
uint32_t fuzz_word(struct fuzz_input *input);
/** Takes `size` bytes, or those that are left: sets `*size`. */
const char *fuzz_bytes(struct fuzz_input *input, size_t *size);

/** Memory of `size` bytes (at most 1 MiB) that ends at a page which cannot be touched, so that a byte read or written behind
 * it is found by any build. There are FUZZ_GUARDS of them, which are used again and again. It is aligned to 8 only when
 * `size` is a multiple of 8. */
enum { FUZZ_GUARDS = 4 };
char *fuzz_guarded(unsigned number, size_t size);
/** The same with these bytes in it. */
char *fuzz_guarded_copy(unsigned number, const void *bytes, size_t size);

/** True if [bytes, bytes + length) lies within [from, from + size). */
bool fuzz_lies_within(const char *bytes, size_t length, const char *from, size_t size);

/** Of lua.c: a place of the Lua of a target was reached (coverage.lua). */
void fuzz_mark(uint32_t number);

/** Ends the process as a crash does, with what does not hold. */
void fuzz_fail(const char *file, int line, const char *rule) __attribute__((noreturn));
#define fuzz_require(rule) ((rule) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #rule))

#endif
