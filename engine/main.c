/* SPDX-License-Identifier: MIT
 * The program: a LuaJIT state that finds the project's Lua files and runs lua/tidemill/cli. Everything else is Lua
 * that calls libtidemill through the FFI; the library itself knows no Lua. What is here is what Lua cannot do, or
 * would do too late: signals, standard descriptors, search paths. Start reading at main. */
#include <fcntl.h>
#include <lauxlib.h>
#include <libgen.h>
#include <limits.h>
#include <lua.h>
#include <lualib.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/status.h"

/* The folder of this program, with links resolved. */
static int own_folder(char *folder, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", folder, size - 1);
    if (length < 0)
        return -1;
    folder[length] = 0;
    *strrchr(folder, '/') = 0;
    return 0;
}

/* For build/tidemill, lua/ is beside its folder; for the builds in build/asan/ and build/asan/faults/ it is one or two
 * folders further up. An installed program has it under share. */
static int find_lua(const char *folder, char *found, size_t size)
{
    static const char *const candidates[] = {"../lua", "../../lua", "../../../lua",
                                             "../share/tidemill/lua"};
    for (size_t i = 0; i < sizeof(candidates) / sizeof(candidates[0]); i++) {
        char probe[2 * PATH_MAX];
        snprintf(probe, sizeof(probe), "%s/%s/tidemill/init.lua", folder, candidates[i]);
        if (access(probe, R_OK) == 0) {
            snprintf(found, size, "%s/%s", folder, candidates[i]);
            return 0;
        }
    }
    return -1;
}

/* Lua files in the current folder are the user's. Only the user's own files may find them
 * (lua/tidemill/run/environment.lua), so that one of them does not replace a module of ours. */
static void set_paths(lua_State *lua, const char *folder, const char *files)
{
    lua_getglobal(lua, "package");
    lua_getfield(lua, -1, "path");
    luaL_gsub(lua, lua_tostring(lua, -1), "./?.lua;", "");
    lua_pushfstring(lua, "%s/?.lua;%s/?/init.lua;%s", files, files, lua_tostring(lua, -1));
    lua_setfield(lua, -4, "path");
    lua_getfield(lua, -3, "cpath");
    luaL_gsub(lua, lua_tostring(lua, -1), "./?.so;", "");
    /* `make dist` carries modules in C beside the library. */
    lua_pushfstring(lua, "%s/../lib/tidemill/lua/?.so;%s", folder, lua_tostring(lua, -1));
    lua_setfield(lua, -6, "cpath");
    lua_pop(lua, 5);
    lua_pushstring(lua, folder);
    lua_setglobal(lua, "TIDEMILL_FOLDER"); /* where run/ffi.lua looks for library and headers */
}

/* LuaJIT's math.random returns the same numbers in each process unless it is seeded. */
static void seed_random(lua_State *lua)
{
    uint32_t seed = (uint32_t)getpid();
    ssize_t got = getrandom(&seed, sizeof(seed), GRND_NONBLOCK);
    (void)got; /* the process id is used when the kernel has no randomness yet */
    lua_getglobal(lua, "math");
    lua_getfield(lua, -1, "randomseed");
    lua_pushnumber(lua, seed);
    lua_call(lua, 1, 0);
    lua_pop(lua, 1);
}

static int traceback(lua_State *lua)
{
    luaL_traceback(lua, lua, lua_tostring(lua, 1), 1);
    return 1;
}

/* The kernel would give the number of a closed standard descriptor to the next file or socket, which would then get our
 * output. What is opened in its place is open the wrong way round, so that using it fails as it should. */
static void open_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0)
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
}

/* A file that output or log is redirected to is written at its end, as all our files are: one that is truncated
 * meanwhile (logrotate's copytruncate) must not get a hole. */
static void append_standard(void)
{
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
        struct stat about;
        int flags = fcntl(fd, F_GETFL);
        if (flags >= 0 && fstat(fd, &about) == 0 && S_ISREG(about.st_mode))
            fcntl(fd, F_SETFL, flags | O_APPEND);
    }
}

/* Signals that an engine handles are kept pending until it exists, where they would kill the program: logrotate's HUP
 * may come at any time. INT and TERM end the program until then, as they end any other. */
static void block_signals(const char *command)
{
    static const int handled[] = {SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2};
    sigset_t set;
    if (!command || strcmp(command, "run") != 0)
        return;
    signal(SIGALRM, SIG_IGN); /* nothing here sets an alarm */
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(handled) / sizeof(handled[0]); i++)
        sigaddset(&set, handled[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

int main(int count, char **arguments)
{
    block_signals(count > 1 ? arguments[1] : NULL);
    open_standard();
    append_standard();
    char folder[PATH_MAX], files[2 * PATH_MAX];
    lua_State *lua = luaL_newstate();
    if (!lua || own_folder(folder, sizeof(folder)) < 0 ||
        find_lua(folder, files, sizeof(files)) < 0) {
        fprintf(stderr, "tidemill: no Lua files beside the program or under its prefix\n");
        return -TIDE_EINTERNAL; /* a status is an exit code with a minus sign */
    }
    luaL_openlibs(lua);
    set_paths(lua, folder, files);
    seed_random(lua);
    lua_pushcfunction(lua, traceback);
    lua_getglobal(lua, "require");
    lua_pushliteral(lua, "tidemill.cli");
    if (lua_pcall(lua, 1, 1, 1) == 0) {
        lua_getfield(lua, -1, "main");
        lua_createtable(lua, count, 0);
        for (int i = 0; i < count; i++) {
            lua_pushstring(lua, arguments[i]);
            lua_rawseti(lua, -2, i);
        }
        if (lua_pcall(lua, 1, 1, 1) == 0) {
            fflush(NULL);
            /* no destructor is run, since threads of librdkafka may still be there */
            _exit((int)lua_tointeger(lua, -1));
        }
    }
    fprintf(stderr, "tidemill: bug: %s\n", lua_tostring(lua, -1));
    return -TIDE_EINTERNAL;
}
