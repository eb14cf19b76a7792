/* SPDX-License-Identifier: MIT
 * The program around a fuzz target in a build without libFuzzer: replay FILE-or-FOLDER... runs each file once, and prints
 * how many there were. It ends as the target does, so a crash is one of this program; the file that is run stands in the
 * last line then. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

/* A target in C that needs no preparation does not define it. */
#pragma weak LLVMFuzzerInitialize

static unsigned files;

static void run_file(const char *path)
{
    struct stat about;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &about) < 0) {
        perror(path);
        exit(66);
    }
    size_t size = (size_t)about.st_size;
    /* Of just that size, so that a sanitizer sees what is read behind it. */
    uint8_t *bytes = malloc(size > 0 ? size : 1);
    if (!bytes || read(fd, bytes, size) != (ssize_t)size) {
        perror(path);
        exit(70);
    }
    close(fd);
    dprintf(STDERR_FILENO, "%s\n", path);
    LLVMFuzzerTestOneInput(bytes, size);
    free(bytes);
    files++;
}

static void run_path(const char *path)
{
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);
    if (count < 0) {
        run_file(path);
        return;
    }
    for (int i = 0; i < count; i++) {
        char file[4096];
        snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.')
            run_file(file);
        free(entries[i]);
    }
    free(entries);
}

int main(int count, char **arguments)
{
    if (LLVMFuzzerInitialize)
        LLVMFuzzerInitialize(&count, &arguments);
    for (int i = 1; i < count; i++)
        run_path(arguments[i]);
    printf("%u\n", files);
    return 0;
}
