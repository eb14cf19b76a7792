/* SPDX-License-Identifier: MIT
 * The folder in which engines that are restarted keep their state. It is in memory, and is removed when the program ends. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sim.h"

static char folder[] = "/dev/shm/tidemill-sim-XXXXXX";
static bool made;

const char *sim_folder(void)
{
    return folder;
}

static void remove_files(void)
{
    static const char *const names[] = {"data.mdb", "unsynced"};
    char path[sizeof(folder) + 16];
    for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        unlink(path);
    }
}

void sim_folder_remove(void)
{
    if (!made)
        return;
    remove_files();
    rmdir(folder);
}

void sim_folder_empty(void)
{
    if (made) {
        remove_files();
        return;
    }
    if (!mkdtemp(folder)) {
        perror(folder);
        exit(70);
    }
    made = true;
    atexit(sim_folder_remove);
}
