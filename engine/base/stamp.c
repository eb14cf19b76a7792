/* SPDX-License-Identifier: MIT
 * What a file is known by without reading it, mixed by FNV-1a. */
#include "base/stamp.h"

#include <string.h>
#include <sys/stat.h>

static uint64_t mix(uint64_t stamp, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < size; i++)
        stamp = (stamp ^ at[i]) * UINT64_C(1099511628211);
    return stamp;
}

uint64_t tide_file_stamp(const char *path, uint64_t stamp)
{
    struct stat file;
    stamp = mix(stamp ^ UINT64_C(14695981039346656037), path, strlen(path) + 1);
    if (stat(path, &file) < 0)
        return stamp;
    int64_t known[5] = {(int64_t)file.st_dev, (int64_t)file.st_ino, (int64_t)file.st_size,
                        (int64_t)file.st_mtim.tv_sec, (int64_t)file.st_mtim.tv_nsec};
    return mix(stamp, known, sizeof(known));
}
