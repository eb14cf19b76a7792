/* SPDX-License-Identifier: MIT
 * Opens and closes a store. What it holds is checked before anything is written to it: whose it is, that all its pages are
 * there, by which key each state is kept. Start reading at tide_store_open. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/status.h"
#include "store/inside.h"

static const size_t FIRST_MAP = (size_t)16 << 30; /* address space only */
#define NOTHING "state_dir %s: there is no state yet; the pipeline makes it when it runs"

static const char FORMAT[] = TIDE_STORE_FORMAT;

/* Its files stay as long as they are open, though they have no names any more. */
static void remove_files(const struct tide_store *store)
{
    char path[4200];
    snprintf(path, sizeof(path), "%s/data.mdb", store->dir);
    unlink(path);
    rmdir(store->dir);
}

static int make_folder(struct tide_store *store, const char *dir)
{
    char place[] = "/tmp/tidemill-state-XXXXXX";
    store->temporary = !dir;
    if (store->temporary && !mkdtemp(place))
        return tide_fail_system("a folder for state in /tmp");
    store->dir = tide_copy(dir ? dir : place);
    if (dir && mkdir(dir, 0700) < 0 && errno != EEXIST)
        return tide_fail(TIDE_ECONFIG, "state_dir %s: cannot make it: %s", dir, strerror(errno));
    return TIDE_OK;
}

static int lock_folder(struct tide_store *store)
{
    store->lock = open(store->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->lock < 0)
        return tide_fail(TIDE_ECONFIG, "state_dir %s: cannot open it: %s", store->dir,
                         strerror(errno));
    if (flock(store->lock, LOCK_EX | LOCK_NB) < 0)
        return tide_fail(TIDE_ECONFIG, "state_dir %s: another engine has it", store->dir);
    return TIDE_OK;
}

static int open_environment(struct tide_store *store, unsigned read_only)
{
    bool unsynced = store->temporary || store->copy;
    unsigned flags = MDB_NOLOCK | MDB_NORDAHEAD | (unsynced ? MDB_NOSYNC : 0) | read_only;
    MDB_txn *txn;
    int status = tide_store_check_file(store);
    if (status < 0)
        return status;
    int code = mdb_env_create(&store->env);
    if (!code)
        code = mdb_env_set_mapsize(store->env, store->map);
    if (!code)
        code = mdb_env_open(store->env, store->dir, flags, 0600);
    if (code)
        return tide_store_failed(store, code, "open");
    code = mdb_txn_begin(store->env, NULL, read_only, &txn);
    if (!code) {
        code = mdb_dbi_open(txn, NULL, 0, &store->table);
        int ended = mdb_txn_commit(txn);
        code = code ? code : ended;
    }
    return code ? tide_store_failed(store, code, "open") : TIDE_OK;
}

static int put_text(struct tide_store *store, MDB_val *key, const char *text)
{
    char bytes[800];
    size_t length = strlen(text);
    uint32_t check = tide_store_checksum(key, text, length);
    MDB_val data = {length + sizeof(check), bytes};
    tide_require(data.mv_size <= sizeof(bytes));
    memcpy(bytes, text, data.mv_size - sizeof(check));
    memcpy(bytes + length, &check, sizeof(check));
    int status = tide_store_begin(store);
    if (status < 0)
        return status;
    int code = mdb_put(store->writer, store->table, key, &data, 0);
    return code ? tide_store_failed(store, code, "write") : tide_store_commit(store);
}

/* 1 = `data` is what stands at the key, without its checksum, 0 = nothing. */
static int get_text(struct tide_store *store, MDB_val *key, MDB_val *data)
{
    int status = tide_store_read(store);
    if (status < 0)
        return status;
    int code = mdb_get(store->reader, store->table, key, data);
    if (code && code != MDB_NOTFOUND)
        return tide_store_failed(store, code, "read");
    enum tide_store_entry entry = code ? TIDE_ENTRY_SOUND : tide_store_check_entry(key, data);
    if (entry != TIDE_ENTRY_SOUND)
        return tide_store_refuse(store, entry);
    data->mv_size -= code ? 0 : sizeof(uint32_t);
    return code ? 0 : 1;
}

static bool is_same(const MDB_val *data, const char *text)
{
    return data->mv_size == strlen(text) && memcmp(data->mv_data, text, data->mv_size) == 0;
}

/* Writes the text where there is none yet. 1 = there is another one, which `data` has. */
static int claim(struct tide_store *store, MDB_val *key, const char *own, MDB_val *data)
{
    int found = get_text(store, key, data);
    if (found <= 0)
        return found == 0 ? put_text(store, key, own) : found;
    return !is_same(data, own);
}

/* Who only looks may look at what a changelog was restored into, too. */
static bool is_readable(const MDB_val *data, const char *own)
{
    MDB_val first = {strlen(own), data->mv_data};
    size_t both = first.mv_size + strlen(TIDE_STORE_CHANGELOG);
    return is_same(data, own) || (data->mv_size > both && is_same(&first, own) &&
                                  memcmp((const char *)data->mv_data + first.mv_size,
                                         TIDE_STORE_CHANGELOG, strlen(TIDE_STORE_CHANGELOG)) == 0);
}

/* The same pipeline had another input: in another folder it would restore from the same changelogs. */
static bool has_other_input(const MDB_val *data, const char *pipeline)
{
    const char *at = strstr(pipeline, TIDE_STORE_CHANGELOG);
    size_t length = at ? (size_t)(at - pipeline) + strlen(TIDE_STORE_CHANGELOG) : 0;
    return length > 0 && data->mv_size > strlen(FORMAT) + length &&
           memcmp((const char *)data->mv_data + strlen(FORMAT), pipeline, length) == 0;
}

/* Whose a store is, as people say it: "pipeline NAME on files" or "pipeline NAME on topic T". */
static void say_owner(char *to, size_t size, const char *owner, size_t length)
{
    const char *at = memmem(owner, length, TIDE_STORE_CHANGELOG, strlen(TIDE_STORE_CHANGELOG));
    size_t name = at ? (size_t)(at - owner) : length;
    size_t topic = at ? length - name - strlen(TIDE_STORE_CHANGELOG) : 0;
    snprintf(to, size, "pipeline %.*s on %s%.*s", (int)name, owner, at ? "topic " : "files",
             (int)topic, at ? at + strlen(TIDE_STORE_CHANGELOG) : "");
}

/* A store of another format is refused before this (store_checksums.c). */
static int refuse_owner(const struct tide_store *store, const MDB_val *data, const char *pipeline)
{
    char theirs[400], ours[400];
    size_t head = data->mv_size < strlen(FORMAT) ? data->mv_size : strlen(FORMAT);
    say_owner(theirs, sizeof(theirs), (const char *)data->mv_data + head, data->mv_size - head);
    say_owner(ours, sizeof(ours), pipeline, strlen(pipeline));
    return tide_fail(TIDE_ECONFIG,
                     "state_dir %s has the state of %s, and this is %s; name another %s",
                     store->dir, theirs, ours,
                     has_other_input(data, pipeline)
                         ? "folder, and the pipeline otherwise: its changelogs are those of the "
                           "other topic"
                         : "folder");
}

/* With `claims` it becomes that of the pipeline when it is nobody's. */
static int check_pipeline(struct tide_store *store, const char *pipeline, bool claims)
{
    char own[512], room[] = "I";
    MDB_val key = {1, room}, data = {0, room};
    snprintf(own, sizeof(own), "%s%s", FORMAT, pipeline);
    int status = claims ? claim(store, &key, own, &data) : get_text(store, &key, &data);
    if (status == 0 && !claims)
        return tide_fail(TIDE_ENOINPUT, NOTHING, store->dir);
    if (status == 1 && (claims || !is_readable(&data, own)))
        return refuse_owner(store, &data, pipeline);
    return status < 0 ? status : TIDE_OK;
}

/* A copy that may be torn is not looked at: whose it was is not known either. */
static int begin_copy(const struct tide_store *store)
{
    char path[4200];
    if (!store->copy)
        return TIDE_OK;
    snprintf(path, sizeof(path), "%s/data.mdb", store->dir);
    if (tide_store_is_of_other_boot(store->dir) && unlink(path) == 0)
        tide_log(TIDE_LOG_WARN,
                 "state_dir %s: the machine has ended before it was synced; all of its state is "
                 "restored",
                 store->dir);
    return tide_store_mark_unsynced(store->dir);
}

static struct tide_store *open_store(const char *dir, const char *pipeline, size_t map, bool copy)
{
    struct tide_store *store = tide_alloc(sizeof(*store));
    store->lock = -1;
    store->map = map ? map : FIRST_MAP;
    store->copy = copy && dir;
    if (make_folder(store, dir) < 0 || lock_folder(store) < 0 || begin_copy(store) < 0 ||
        open_environment(store, 0) < 0 || check_pipeline(store, pipeline, true) < 0) {
        tide_store_close(store);
        return NULL;
    }
    if (store->temporary)
        remove_files(store);
    return store;
}

struct tide_store *tide_store_open(const char *dir, const char *pipeline, size_t map)
{
    return open_store(dir, pipeline, map, false);
}

static int set_aside(const char *dir)
{
    char from[4200], to[4200];
    snprintf(from, sizeof(from), "%s/data.mdb", dir);
    snprintf(to, sizeof(to), "%s/data.mdb.damaged", dir);
    return rename(from, to) < 0
               ? tide_fail(TIDE_ECONFIG, "state_dir %s: cannot rename data.mdb: %s", dir,
                           strerror(errno))
               : TIDE_OK;
}

struct tide_store *tide_store_open_copy(const char *dir, const char *pipeline)
{
    struct tide_store *store = open_store(dir, pipeline, 0, true);
    if (store || tide_failure() != TIDE_EDATA)
        return store;
    tide_log(TIDE_LOG_WARN, "%s; it is set aside as data.mdb.damaged", tide_error());
    return set_aside(dir) < 0 ? NULL : open_store(dir, pipeline, 0, true);
}

/* Whoever reads keeps engines away meanwhile, and no other reader; who changes it keeps all away. */
static int lock_what_is_there(struct tide_store *store, int lock)
{
    char path[4200];
    struct stat file;
    snprintf(path, sizeof(path), "%s/data.mdb", store->dir);
    store->lock = open(store->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if ((store->lock < 0 && errno == ENOENT) || (store->lock >= 0 && stat(path, &file) < 0))
        return tide_fail(TIDE_ENOINPUT, NOTHING, store->dir);
    if (store->lock < 0)
        return tide_fail(TIDE_ECONFIG, "state_dir %s: cannot open it: %s", store->dir,
                         strerror(errno));
    if (flock(store->lock, lock | LOCK_NB) < 0)
        return tide_fail(TIDE_ETEMPORARY,
                         "state_dir %s: an engine has it; stop that first, or ask it: GET "
                         "/state/NAME/KEY, where its metrics are served",
                         store->dir);
    if (tide_store_is_of_other_boot(store->dir))
        return tide_fail(TIDE_ENOINPUT,
                         "state_dir %s: the machine has ended before it was synced; the next run "
                         "restores it",
                         store->dir);
    return TIDE_OK;
}

static struct tide_store *open_what_is_there(const char *dir, const char *pipeline, bool changes,
                                             int *status)
{
    struct tide_store *store = tide_alloc(sizeof(*store));
    store->map = FIRST_MAP;
    store->dir = tide_copy(dir);
    *status = lock_what_is_there(store, changes ? LOCK_EX : LOCK_SH);
    if (*status == TIDE_OK)
        *status = open_environment(store, changes ? 0 : MDB_RDONLY);
    if (*status == TIDE_OK)
        *status = check_pipeline(store, pipeline, false);
    if (*status == TIDE_OK)
        return store;
    tide_store_close(store);
    return NULL;
}

struct tide_store *tide_store_look(const char *dir, const char *pipeline, int *status)
{
    return open_what_is_there(dir, pipeline, false, status);
}

struct tide_store *tide_store_change(const char *dir, const char *pipeline, int *status)
{
    return open_what_is_there(dir, pipeline, true, status);
}

/* The hash of its name, so that no number has to be given out; two names with one hash are refused like two keys. */
int tide_store_state(struct tide_store *store, const char *name, const char *by, uint32_t *number)
{
    char room[5] = "N", own[512];
    MDB_val key = {sizeof(room), room}, data;
    *number = (uint32_t)tide_store_hash(0, name, strlen(name));
    tide_store_number(room + 1, *number);
    snprintf(own, sizeof(own), "%s, by %s", name, by);
    int status = claim(store, &key, own, &data);
    if (status == 1)
        return tide_fail(TIDE_ECONFIG,
                         "state_dir %s holds the state \"%.*s\", which this pipeline keeps by %s; "
                         "name another state",
                         store->dir, (int)data.mv_size, (const char *)data.mv_data, by);
    return status;
}

void tide_store_close(struct tide_store *store)
{
    if (!store)
        return;
    tide_store_rollback(store);
    if (store->reader)
        mdb_txn_abort(store->reader);
    if (store->env) {
        bool synced = store->copy && mdb_env_sync(store->env, 1) == 0;
        mdb_env_close(store->env);
        if (synced)
            tide_store_mark_synced(store->dir);
    }
    if (store->temporary && store->dir)
        remove_files(store);
    if (store->lock >= 0)
        close(store->lock);
    free(store->timed);
    free(store->dir);
    free(store);
}
