/* SPDX-License-Identifier: MIT
 * What a file is known by without reading it, mixed by FNV-1a. */
#include "base/stamp.h"

#include <sys/stat.h>

static const uint64_t PRIME = UINT64_C(1099511628211);

static uint64_t mix_text(uint64_t stamp, const char *text)
{
    for (const char *at = text; *at; at++)
        stamp = (stamp ^ (unsigned char)*at) * PRIME;
    return stamp * PRIME;
}

static uint64_t mix_number(uint64_t stamp, int64_t number)
{
    for (int shift = 0; shift < 64; shift += 8)
        stamp = (stamp ^ ((uint64_t)number >> shift & 0xff)) * PRIME;
    return stamp;
}

uint64_t tide_file_stamp(const char *path, uint64_t stamp)
{
    struct stat file;
    stamp = mix_text(stamp ^ UINT64_C(14695981039346656037), path);
    if (stat(path, &file) < 0)
        return stamp;
    stamp = mix_number(stamp, (int64_t)file.st_dev);
    stamp = mix_number(stamp, (int64_t)file.st_ino);
    stamp = mix_number(stamp, (int64_t)file.st_size);
    stamp = mix_number(stamp, (int64_t)file.st_mtim.tv_sec);
    return mix_number(stamp, (int64_t)file.st_mtim.tv_nsec);
}
