/* SPDX-License-Identifier: MIT
 * Reading an input, memory with an end, and the report of a rule that does not hold. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { GUARDED = 1 << 20, PAGE = 4096 };

/* libFuzzer closes standard error for the target, since the engine logs each thing that it refuses. */
static int report_fd = STDERR_FILENO;

static void __attribute__((constructor)) keep_report(void)
{
    report_fd = dup(STDERR_FILENO);
}

uint8_t fuzz_byte(struct fuzz_input *input)
{
    if (input->left == 0)
        return 0;
    input->left--;
    return *input->at++;
}

uint32_t fuzz_below(struct fuzz_input *input, uint32_t below)
{
    return below > 0 ? fuzz_byte(input) % below : 0;
}

uint32_t fuzz_word(struct fuzz_input *input)
{
    uint32_t word = 0;
    for (int i = 0; i < 4; i++)
        word |= (uint32_t)fuzz_byte(input) << 8 * i;
    return word;
}

const char *fuzz_bytes(struct fuzz_input *input, size_t *size)
{
    const char *bytes = (const char *)input->at;
    if (*size > input->left)
        *size = input->left;
    input->at += *size;
    input->left -= *size;
    return bytes;
}

char *fuzz_guarded(unsigned number, size_t size)
{
    static char *ends[FUZZ_GUARDS];
    fuzz_require(number < FUZZ_GUARDS && size <= GUARDED);
    if (!ends[number]) {
        char *base = mmap(NULL, GUARDED + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                          -1, 0);
        fuzz_require(base != MAP_FAILED && mprotect(base + GUARDED, PAGE, PROT_NONE) == 0);
        ends[number] = base + GUARDED;
    }
    return ends[number] - size;
}

char *fuzz_guarded_copy(unsigned number, const void *bytes, size_t size)
{
    char *copy = fuzz_guarded(number, size);
    if (size > 0)
        memcpy(copy, bytes, size);
    return copy;
}

bool fuzz_lies_within(const char *bytes, size_t length, const char *from, size_t size)
{
    return bytes >= from && length <= size && (size_t)(bytes - from) <= size - length;
}

void fuzz_fail(const char *file, int line, const char *rule)
{
    dprintf(report_fd, "fuzz: %s:%d: does not hold: %s\n", file, line, rule);
    abort();
}
