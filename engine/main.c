/* SPDX-License-Identifier: MIT
 * The program: a LuaJIT state that finds the project's Lua files and runs lua/tidemill/cli. All else is Lua
 * that calls the library through the FFI; the library itself knows no Lua. */
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

enum { EXIT_INTERNAL = 70 };

/* The folder of this program, links resolved. */
static int own_folder(char *folder, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", folder, size - 1);
    if (length < 0)
        return -1;
    folder[length] = 0;
    *strrchr(folder, '/') = 0;
    return 0;
}

/* build/tidemill has lua/ beside its folder (build/asan/ one, build/asan/faults/ two further up); an installed one has
 * it under share. */
static int find_lua(const char *folder, char *found, size_t size)
{
    static const char *const places[] = {"../lua", "../../lua", "../../../lua",
                                         "../share/tidemill/lua"};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        char probe[2 * PATH_MAX];
        snprintf(probe, sizeof(probe), "%s/%s/tidemill/init.lua", folder, places[i]);
        if (access(probe, R_OK) == 0) {
            snprintf(found, size, "%s/%s", folder, places[i]);
            return 0;
        }
    }
    return -1;
}

/* What lies in the current folder is the user's: files there are found by the user's files alone (run/environment.lua). */
static void set_paths(lua_State *lua, const char *folder, const char *files)
{
    lua_getglobal(lua, "package");
    lua_getfield(lua, -1, "path");
    luaL_gsub(lua, lua_tostring(lua, -1), "./?.lua;", "");
    lua_pushfstring(lua, "%s/?.lua;%s/?/init.lua;%s", files, files, lua_tostring(lua, -1));
    lua_setfield(lua, -4, "path");
    lua_getfield(lua, -3, "cpath");
    luaL_gsub(lua, lua_tostring(lua, -1), "./?.so;", "");
    lua_setfield(lua, -5, "cpath");
    lua_pop(lua, 4);
    lua_pushstring(lua, folder);
    lua_setglobal(lua, "TIDEMILL_FOLDER"); /* where run/ffi.lua looks for library and headers */
}

/* LuaJIT begins math.random with the same number each time. */
static void seed_random(lua_State *lua)
{
    uint32_t seed = (uint32_t)getpid();
    ssize_t got = getrandom(&seed, sizeof(seed), GRND_NONBLOCK);
    (void)got; /* the process id stands where the kernel has no randomness yet */
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

/* A closed standard descriptor would be given to the next file or socket, and get the output. What is taken in
 * its place is open the wrong way round, so that using it fails as it should. */
static void take_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0)
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
}

/* A file that output or log is redirected to is written at its end, as all files of ours are: one that is emptied
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

/* Signals that the engine of a run answers wait until there is one, rather than kill: logrotate's HUP may come at any
 * time. INT and TERM end the program until then, as they do any other. */
static void hold_signals(const char *verb)
{
    static const int answered[] = {SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2};
    sigset_t set;
    if (!verb || strcmp(verb, "run") != 0)
        return;
    signal(SIGALRM, SIG_IGN); /* nothing here sets an alarm */
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(answered) / sizeof(answered[0]); i++)
        sigaddset(&set, answered[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

int main(int count, char **arguments)
{
    hold_signals(count > 1 ? arguments[1] : NULL);
    take_standard();
    append_standard();
    char folder[PATH_MAX], files[2 * PATH_MAX];
    lua_State *lua = luaL_newstate();
    if (!lua || own_folder(folder, sizeof(folder)) < 0 ||
        find_lua(folder, files, sizeof(files)) < 0) {
        fprintf(stderr, "tidemill: no Lua files beside the program or under its prefix\n");
        return EXIT_INTERNAL;
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
            _exit((int)lua_tointeger(lua, -1)); /* no destructor may meet a client left behind */
        }
    }
    fprintf(stderr, "tidemill: bug: %s\n", lua_tostring(lua, -1));
    return EXIT_INTERNAL;
}
