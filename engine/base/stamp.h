/* SPDX-License-Identifier: MIT
 * engine/base/stamp.h - whether files are those that they were. */
#ifndef TIDE_BASE_STAMP_H
#define TIDE_BASE_STAMP_H

#include <stdint.h>

/** A number that changes when the file at `path` is another one (a symbolic link leads elsewhere), has another size, or was
 * written since; made of `stamp`, so that one number stands for several files. Nothing is read. A file that is not there has
 * one too. */
uint64_t tide_file_stamp(const char *path, uint64_t stamp);

#endif
