/* SPDX-License-Identifier: MIT
 * Adds the frames of the script to the last words of a worker (proc/crash.h). It is called in a signal handler, of a process
 * that has crashed: it only reads, allocates nothing, and may fault, for which crash.c is ready. What is read is the stack
 * of the main coroutine; where a function has resumed another one, that place is the last that is seen. */
#include <lauxlib.h>
#include <lua.h>
#include <string.h>

#include "proc/crash.h"

enum { MOST_FRAMES = 8, DEEPEST = 200 };

static lua_State *state;
static char own[1024]; /* the folder of our own files */

/* In our loop the functions have names of ours, f1 and so on (run/fuse.lua). */
static int is_ours(const char *name)
{
    return *name == 'f' && name[1] && strspn(name + 1, "0123456789") == strlen(name + 1);
}

static void add_name(struct tide_crash_text *text, const lua_Debug *frame, const char *file)
{
    tide_crash_add(text, ": in function ");
    if (frame->name && *frame->what != 'm' && !is_ours(frame->name)) {
        tide_crash_add(text, "'");
        tide_crash_add(text, frame->name);
        tide_crash_add(text, "'");
        return;
    }
    tide_crash_add(text, "<");
    tide_crash_add(text, file);
    tide_crash_add(text, ":");
    tide_crash_add_number(text, (uint64_t)frame->linedefined, 10);
    tide_crash_add(text, ">");
}

static const char *file_of(const lua_Debug *frame)
{
    return frame->source + (*frame->source == '@' || *frame->source == '=');
}

/* What the script is called from: the fused loop, or the file that runs all of it. */
static int is_outside(const lua_Debug *frame)
{
    const char *file = file_of(frame);
    return strcmp(file, "(loop)") == 0 || (strncmp(file, own, strlen(own)) == 0 &&
                                           strcmp(file + strlen(own), "run/worker.lua") == 0);
}

/* True when it is a frame of the script, which is added; C functions are among the native frames. */
static int add_frame(struct tide_crash_text *text, const lua_Debug *frame)
{
    const char *file = file_of(frame);
    if (*frame->what == 'C' || frame->currentline <= 0 || strncmp(file, own, strlen(own)) == 0)
        return 0;
    tide_crash_add(text, "\n\t");
    tide_crash_add(text, *frame->source == '@' ? file : frame->short_src);
    tide_crash_add(text, ":");
    tide_crash_add_number(text, (uint64_t)frame->currentline, 10);
    add_name(text, frame, file);
    return 1;
}

static void add_frames(struct tide_crash_text *text)
{
    lua_Debug frame;
    int shown = 0;
    for (int level = 0; level < DEEPEST && lua_getstack(state, level, &frame); level++) {
        if (!lua_getinfo(state, "Sln", &frame) || is_outside(&frame))
            return;
        shown += add_frame(text, &frame);
        if (shown == MOST_FRAMES) {
            tide_crash_add(text, "\n\t...");
            return;
        }
    }
}

/* Called with the folder of our own files, which are left out. */
static int watch(lua_State *L)
{
    strncpy(own, luaL_checkstring(L, 1), sizeof(own) - 1);
    state = L;
    tide_crash_script(add_frames);
    return 0;
}

int luaopen_tidemill_stack(lua_State *L);
int luaopen_tidemill_stack(lua_State *L)
{
    lua_pushcfunction(L, watch);
    return 1;
}
