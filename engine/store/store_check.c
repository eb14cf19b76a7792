/* SPDX-License-Identifier: MIT
 * Reads the file of a store once, before LMDB does: LMDB trusts its pages, so a damaged one would be a crash, or a key that is
 * not found any more. The pages of the newest transaction are gone through (store_pages.c), and the numbers that LMDB keeps of
 * pages and entries are compared. Nothing is mapped: a file that gets shorter meanwhile is an error and no SIGBUS. The first
 * message waits for this, so what is below the root of a large tree is divided among threads, which end here. Start reading at
 * tide_store_check_file. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/status.h"
#include "store/inside.h"
#include "store/pages.h"

enum {
    META = 8,
    NUMBERED = 8,   /* of a tree: its keys are numbers */
    SMALLEST = 256, /* page, by LMDB's own limits */
    /* Pages that a transaction took and did not need are free and never written, so a sound file may end before them: no
     * more than LMDB keeps in memory for one (MDB_IDL_UM_MAX), for as many as may follow one another so. */
    UNWRITTEN = 8 << 17,
    MAGIC = (int)0xBEEFC0DE,
    VERSION = 1,
    MOST_THREADS = 8,
    FEW_PAGES = 4096 /* which one thread checks sooner than several are started */
};
#define NO_PAGE UINT64_MAX

struct tree {
    uint32_t pad; /* of the first tree: bytes of a page */
    uint16_t flags, depth;
    uint64_t branches, leaves, overflows, entries, root;
};

struct meta {
    uint32_t magic, version;
    uint64_t address, map;
    struct tree trees[2];
    uint64_t last, transaction;
};

/* ---- threads ---- */

static struct tide_store_walker *walker_new(struct tide_store_check *check)
{
    struct tide_store_walker *walker = tide_alloc(sizeof(*walker));
    walker->check = check;
    walker->levels = tide_alloc((size_t)TIDE_STORE_PAGE_LEVELS * check->page_size);
    return walker;
}

static void walker_free(struct tide_store_walker *walker)
{
    free(walker->levels);
    free(walker->big);
    free(walker);
}

static void *walk_parts(void *context)
{
    struct tide_store_walker *walker = context;
    struct tide_store_check *check = walker->check;
    uint32_t i;
    while ((i = atomic_fetch_add(&check->next, 1)) < check->part_count) {
        const struct tide_store_part *part = &check->parts[i];
        walker->any = walker->or_equal = i > 0;
        walker->last_length = part->first.mv_size;
        if (i > 0 && part->first.mv_size > 0)
            memcpy(walker->last, part->first.mv_data, part->first.mv_size);
        if (tide_store_check_page(walker, part->page, 1) &&
            (i + 1 == check->part_count || tide_store_follows(walker, &part[1].first, true)))
            continue;
        walker->part = i;
        break;
    }
    return NULL;
}

static uint32_t thread_count(const struct tide_store_check *check)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t most = check->part_count < MOST_THREADS ? check->part_count : MOST_THREADS;
    if (check->pages < FEW_PAGES || processors < 1)
        return 1;
    return (uint32_t)processors < most ? (uint32_t)processors : most;
}

/* This thread walks too, and alone where no other can be made. */
static void walk_all(struct tide_store_walker **walkers, uint32_t count)
{
    uint32_t made = 1;
    for (; made < count; made++)
        if (pthread_create(&walkers[made]->thread, NULL, walk_parts, walkers[made]) != 0)
            break;
    walk_parts(walkers[0]);
    for (uint32_t i = 1; i < made; i++)
        pthread_join(walkers[i]->thread, NULL);
}

/* ---- trees ---- */

static bool read_parts(struct tide_store_walker *walker, uint64_t root)
{
    struct tide_store_check *check = walker->check;
    struct tide_store_page_head head;
    if (!tide_store_read_page(walker, root, 0, &head))
        return false;
    check->part_count = tide_store_node_count(&head);
    check->parts = tide_alloc(check->part_count * sizeof(*check->parts));
    for (uint32_t i = 0; i < check->part_count; i++)
        if (!tide_store_read_node(walker, &head, 0, i, &check->parts[i]))
            return false;
    return true;
}

/* Adds up what the walkers have found. Of several that are damaged the first part counts: a store of another version is told
 * apart by its first entry. */
static const char *gather(struct tide_store_walker **walkers, uint32_t count,
                          struct tide_store_counts *found)
{
    const struct tide_store_walker *failed = NULL;
    for (uint32_t i = 0; i < count; i++) {
        const struct tide_store_walker *walker = walkers[i];
        found->branches += walker->found.branches;
        found->leaves += walker->found.leaves;
        found->overflows += walker->found.overflows;
        found->entries += walker->found.entries;
        if (walker->why && (!failed || walker->part < failed->part))
            failed = walker;
    }
    if (!failed)
        return NULL;
    walkers[0]->check->other_format = failed->other_format;
    return failed->why;
}

static const char *walk_tree(struct tide_store_check *check, uint64_t root,
                             struct tide_store_counts *found)
{
    struct tide_store_walker *walkers[MOST_THREADS] = {walker_new(check)};
    uint32_t count = 1;
    if (check->depth == 1) {
        tide_store_check_page(walkers[0], root, 0);
    } else if (read_parts(walkers[0], root)) {
        for (uint32_t wanted = thread_count(check); count < wanted; count++)
            walkers[count] = walker_new(check);
        walk_all(walkers, count);
    }
    const char *why = gather(walkers, count, found);
    for (uint32_t i = 0; i < count; i++)
        walker_free(walkers[i]);
    free(check->parts);
    check->parts = NULL;
    return why;
}

static const char *check_tree(struct tide_store_check *check, const struct tree *tree,
                              enum tide_store_tree which)
{
    struct tide_store_counts found = {0};
    const char *why = NULL;
    check->tree = which;
    check->depth = tree->depth;
    check->next = 0;
    if (tree->flags != (which == TIDE_STORE_FREE ? NUMBERED : 0) ||
        tree->depth > TIDE_STORE_PAGE_LEVELS || (tree->root == NO_PAGE) != (tree->depth == 0))
        return "a tree is none";
    if (tree->root != NO_PAGE)
        why = walk_tree(check, tree->root, &found);
    bool same = found.branches == tree->branches && found.leaves == tree->leaves &&
                found.overflows == tree->overflows && found.entries == tree->entries;
    return why || same ? why : "a tree has lost entries";
}

/* ---- the file ---- */

static const char *read_meta(struct tide_store_check *check, uint64_t offset, struct meta *meta)
{
    struct tide_store_page_head head;
    const char *why = tide_store_read_bytes(check->fd, &head, sizeof(head), offset);
    if (!why)
        why = tide_store_read_bytes(check->fd, meta, sizeof(*meta), offset + TIDE_STORE_PAGE_HEAD);
    if (why)
        return why;
    uint32_t page = meta->trees[TIDE_STORE_FREE].pad;
    if (!(head.flags & META) || meta->magic != (uint32_t)MAGIC || meta->version != VERSION ||
        page < SMALLEST || page > TIDE_STORE_PAGE_MOST || (page & (page - 1)) != 0 || meta->address)
        return "its first pages are none of a store";
    return NULL;
}

/* LMDB goes on from the newer one of two. */
static const char *choose_meta(struct tide_store_check *check, struct meta *meta)
{
    struct meta other;
    const char *why = read_meta(check, 0, meta);
    if (why)
        return why;
    check->page_size = meta->trees[TIDE_STORE_FREE].pad;
    why = read_meta(check, check->page_size, &other);
    if (!why && other.trees[TIDE_STORE_FREE].pad != check->page_size)
        why = "its first pages are none of a store";
    if (!why && other.transaction > meta->transaction)
        *meta = other;
    return why;
}

static const char *check_trees(struct tide_store_check *check, uint64_t bytes)
{
    struct meta meta;
    const char *why = choose_meta(check, &meta);
    if (why)
        return why;
    if (meta.last < 1 || meta.last >= bytes / check->page_size + UNWRITTEN)
        return "its file is cut off";
    check->pages = meta.last + 1;
    check->transaction = meta.transaction;
    check->seen = tide_alloc(check->pages / 8 + 1);
    why = check_tree(check, &meta.trees[TIDE_STORE_FREE], TIDE_STORE_FREE);
    if (!why)
        why = check_tree(check, &meta.trees[TIDE_STORE_MAIN], TIDE_STORE_MAIN);
    free(check->seen);
    return why;
}

int tide_store_check_file(struct tide_store *store)
{
    char path[4200];
    struct stat file;
    struct tide_store_check check = {0};
    const char *why = NULL;
    snprintf(path, sizeof(path), "%s/data.mdb", store->dir);
    check.fd = open(path, O_RDONLY | O_CLOEXEC);
    if (check.fd < 0 && errno != ENOENT)
        why = strerror(errno);
    else if (check.fd >= 0 && fstat(check.fd, &file) == 0 && file.st_size > 0)
        why = check_trees(&check, (uint64_t)file.st_size);
    if (check.fd >= 0)
        close(check.fd);
    if (check.other_format)
        return tide_store_refuse(store, TIDE_ENTRY_OTHER_FORMAT);
    return why ? tide_store_damaged(store, why) : TIDE_OK;
}
