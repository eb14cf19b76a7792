/* SPDX-License-Identifier: MIT
 * Reads the file of a store once, before LMDB does: LMDB trusts its pages, so a damaged one would be a crash, or a key that is
 * not found any more. Here the pages of the newest transaction are gone through as LMDB has written them (version 1 of its
 * format, as the sources of 0.9 have it): each is where it says it is, belongs to one tree or to the list of free pages and not to
 * two, has its entries within it and in ascending order, and the numbers that LMDB keeps of pages and entries are right. What
 * an entry holds is checked by its own checksum (tide_store_check_entry). So what is not seen here is in bytes that nobody
 * reads. Nothing is mapped: a file that gets shorter meanwhile is an error and no SIGBUS. Start reading at
 * tide_store_check_pages. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/status.h"
#include "store/inside.h"

enum {
    HEAD = 16, /* bytes of a page before its list of entries */
    NODE = 8,  /* bytes of an entry before its key */
    LEVELS = 32,
    BRANCH = 1,
    LEAF = 2,
    OVERFLOW = 4,
    META = 8,
    BIG = 1,         /* of an entry: its data are in pages of their own */
    NUMBERED = 8,    /* of a tree: its keys are numbers */
    FREE = 0,        /* the tree of the free pages ... */
    MAIN = 1,        /* ... and that of the store */
    SMALLEST = 256,  /* page, by LMDB's own limits ... */
    LARGEST = 65536, /* ... and the other end */
    /* Pages that a transaction took and did not need are free and never written, so a sound file may end before them: no
     * more than LMDB keeps in memory for one (MDB_IDL_UM_MAX), for as many as may follow one another so. */
    UNWRITTEN = 8 << 17,
    MAGIC = (int)0xBEEFC0DE,
    VERSION = 1
};
#define NO_PAGE UINT64_MAX

struct page_head {
    uint64_t number;
    uint16_t pad, flags, lower,
        upper; /* of an overflow page the last two are the number of its pages */
};

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

struct check {
    int fd;
    uint32_t page;  /* bytes */
    uint64_t pages; /* that the file has, and the newest transaction knows of */
    uint64_t transaction;
    uint8_t *seen; /* a bit for each page */
    char *levels;  /* a page for each level of the tree */
    char *big;     /* the data of an entry with pages of its own */
    size_t big_room;
    struct tree found;  /* what is counted of the tree */
    int which;          /* FREE or MAIN */
    char last[LARGEST]; /* the key that the next one has to be behind ... */
    size_t last_length;
    bool or_equal; /* ... or equal to, since it only separates */
    bool any;      /* there is one */
    const char *why;
};

static bool wrong(struct check *check, const char *why)
{
    check->why = why;
    return false;
}

static bool read_at(struct check *check, void *to, size_t length, uint64_t offset)
{
    for (size_t done = 0; done < length;) {
        ssize_t part = pread(check->fd, (char *)to + done, length - done, (off_t)(offset + done));
        if (part < 0 && errno == EINTR)
            continue;
        if (part <= 0)
            return wrong(check, part == 0 ? "its file is cut off" : strerror(errno));
        done += (size_t)part;
    }
    return true;
}

/* A page belongs to one place. */
static bool take_pages(struct check *check, uint64_t number, uint64_t count)
{
    if (number < 2 || number >= check->pages || count > check->pages - number)
        return wrong(check, "a page is beyond its end");
    for (uint64_t i = number; i < number + count; i++) {
        if (check->seen[i / 8] & 1 << i % 8)
            return wrong(check, "a page belongs to two places");
        check->seen[i / 8] |= (uint8_t)(1 << i % 8);
    }
    return true;
}

/* ---- entries ---- */

static int compare(const struct check *check, const MDB_val *key)
{
    if (check->which == FREE) {
        uint64_t before, now;
        memcpy(&before, check->last, sizeof(before));
        memcpy(&now, key->mv_data, sizeof(now));
        return before < now ? -1 : before > now;
    }
    size_t both = key->mv_size < check->last_length ? key->mv_size : check->last_length;
    int order = memcmp(check->last, key->mv_data, both);
    if (order != 0)
        return order;
    return check->last_length < key->mv_size ? -1 : check->last_length > key->mv_size;
}

/* The key is behind all before it. `separates`: it is no entry's, but the least that those behind it may have. */
static bool follows(struct check *check, const MDB_val *key, bool separates)
{
    if (check->which == FREE && key->mv_size != sizeof(uint64_t))
        return wrong(check, "a number of a transaction has the wrong size");
    int order = check->any ? compare(check, key) : -1;
    if (order > 0 || (order == 0 && (separates || !check->or_equal)))
        return wrong(check, "its keys are out of order");
    check->any = true;
    check->or_equal = separates;
    check->last_length = key->mv_size;
    if (key->mv_size > 0)
        memcpy(check->last, key->mv_data, key->mv_size);
    return true;
}

/* The pages that a transaction has freed: their count, and their numbers in descending order. */
static bool check_free(struct check *check, const MDB_val *key, const MDB_val *data)
{
    uint64_t transaction, count = 0, number, before = NO_PAGE;
    memcpy(&transaction, key->mv_data, sizeof(transaction));
    if (data->mv_size >= sizeof(count))
        memcpy(&count, data->mv_data, sizeof(count));
    if (transaction > check->transaction || data->mv_size % sizeof(count) != 0 ||
        count >= data->mv_size / sizeof(count) + !data->mv_size)
        return wrong(check, "its list of free pages is wrong");
    for (uint64_t i = 1; i <= count; i++, before = number) {
        memcpy(&number, (const char *)data->mv_data + i * sizeof(number), sizeof(number));
        if (number >= before)
            return wrong(check, "its list of free pages is out of order");
        if (!take_pages(check, number, 1))
            return false;
    }
    return true;
}

static bool read_big(struct check *check, const char *where, MDB_val *data)
{
    struct page_head head;
    uint64_t number, need = (HEAD - 1 + data->mv_size) / check->page + 1;
    uint32_t pages;
    memcpy(&number, where, sizeof(number));
    if (number < 2 || number >= check->pages)
        return wrong(check, "a page is beyond its end");
    if (!read_at(check, &head, sizeof(head), number * check->page))
        return false;
    memcpy(&pages, &head.lower, sizeof(pages));
    if (head.number != number || head.flags != OVERFLOW || pages < need)
        return wrong(check, "the pages of a long value are others");
    if (!take_pages(check, number, pages))
        return false;
    if (check->big_room < data->mv_size) {
        free(check->big);
        check->big = tide_alloc(data->mv_size);
        check->big_room = data->mv_size;
    }
    check->found.overflows += pages;
    data->mv_data = check->big;
    return read_at(check, check->big, data->mv_size, number * check->page + HEAD);
}

static bool check_leaf_entry(struct check *check, const char *node, size_t room, const MDB_val *key)
{
    uint16_t low, high, flags;
    memcpy(&low, node, 2);
    memcpy(&high, node + 2, 2);
    memcpy(&flags, node + 4, 2);
    MDB_val data = {low | (size_t)high << 16, (char *)key->mv_data + key->mv_size};
    room -= NODE + key->mv_size;
    if (flags & ~BIG || room < (flags ? sizeof(uint64_t) : data.mv_size))
        return wrong(check, "an entry is larger than its page");
    if (!follows(check, key, false) || (flags && !read_big(check, data.mv_data, &data)))
        return false;
    check->found.entries++;
    if (check->which == FREE)
        return check_free(check, key, &data);
    const char *why = tide_store_check_entry(key, &data);
    return why ? wrong(check, why) : true;
}

/* ---- pages ---- */

static bool check_head(struct check *check, const struct page_head *head, uint64_t number,
                       bool leaf)
{
    if (head->number != number || head->flags != (leaf ? LEAF : BRANCH) || head->lower < HEAD + 2 ||
        head->lower % 2 != 0 || head->upper < head->lower || head->upper > check->page)
        return wrong(check, "a page is none, or another one");
    return true;
}

static bool check_page(struct check *check, uint64_t number, uint32_t level, uint32_t depth);

/* Number `i` of a leaf is an entry, of a branch the tree under it. */
static bool check_node(struct check *check, const struct page_head *head, uint32_t i,
                       uint32_t level, uint32_t depth)
{
    const char *page = check->levels + (size_t)level * check->page;
    uint16_t at, key_length, low, high, higher;
    memcpy(&at, page + HEAD + 2 * (size_t)i, 2);
    if (at < head->upper || at > check->page - NODE)
        return wrong(check, "an entry is beyond its page");
    memcpy(&key_length, page + at + 6, 2);
    if (key_length > check->page - at - NODE)
        return wrong(check, "a key is longer than its page");
    MDB_val key = {key_length, (char *)page + at + NODE};
    if (level + 1 == depth)
        return check_leaf_entry(check, page + at, check->page - at, &key);
    memcpy(&low, page + at, 2);
    memcpy(&high, page + at + 2, 2);
    memcpy(&higher, page + at + 4, 2);
    uint64_t below = low | (uint64_t)high << 16 | (uint64_t)higher << 32;
    return (i == 0 || follows(check, &key, true)) && check_page(check, below, level + 1, depth);
}

static bool check_page(struct check *check, uint64_t number, uint32_t level, uint32_t depth)
{
    char *page = check->levels + (size_t)level * check->page;
    struct page_head head;
    bool leaf = level + 1 == depth;
    if (!take_pages(check, number, 1) || !read_at(check, page, check->page, number * check->page))
        return false;
    memcpy(&head, page, sizeof(head));
    if (!check_head(check, &head, number, leaf))
        return false;
    *(leaf ? &check->found.leaves : &check->found.branches) += 1;
    for (uint32_t i = 0; i < (head.lower - HEAD) / 2u; i++)
        if (!check_node(check, &head, i, level, depth))
            return false;
    return true;
}

static bool check_tree(struct check *check, const struct tree *tree, int which)
{
    check->found = (struct tree){.root = tree->root};
    check->which = which;
    check->any = check->or_equal = false;
    if (tree->flags != (which == FREE ? NUMBERED : 0) || tree->depth > LEVELS ||
        (tree->root == NO_PAGE) != (tree->depth == 0))
        return wrong(check, "a tree is none");
    if (tree->root != NO_PAGE && !check_page(check, tree->root, 0, tree->depth))
        return false;
    const struct tree *found = &check->found;
    if (found->branches != tree->branches || found->leaves != tree->leaves ||
        found->overflows != tree->overflows || found->entries != tree->entries)
        return wrong(check, "a tree has lost entries");
    return true;
}

/* ---- the file ---- */

static bool read_meta(struct check *check, uint64_t offset, struct meta *meta)
{
    struct page_head head;
    if (!read_at(check, &head, sizeof(head), offset) ||
        !read_at(check, meta, sizeof(*meta), offset + HEAD))
        return false;
    uint32_t page = meta->trees[FREE].pad;
    if (!(head.flags & META) || meta->magic != (uint32_t)MAGIC || meta->version != VERSION ||
        page < SMALLEST || page > LARGEST || (page & (page - 1)) != 0 || meta->address)
        return wrong(check, "its first pages are none of a store");
    return true;
}

/* LMDB goes on from the newer one of two. */
static bool choose_meta(struct check *check, struct meta *meta)
{
    struct meta other;
    if (!read_meta(check, 0, meta))
        return false;
    check->page = meta->trees[FREE].pad;
    if (!read_meta(check, check->page, &other))
        return false;
    if (other.trees[FREE].pad != check->page)
        return wrong(check, "its first pages are none of a store");
    if (other.transaction > meta->transaction)
        *meta = other;
    return true;
}

static bool check_file(struct check *check, uint64_t bytes)
{
    struct meta meta;
    if (!choose_meta(check, &meta))
        return false;
    if (meta.last < 1 || meta.last >= bytes / check->page + UNWRITTEN)
        return wrong(check, "its file is cut off");
    check->pages = meta.last + 1;
    check->transaction = meta.transaction;
    check->seen = tide_alloc(check->pages / 8 + 1);
    check->levels = tide_alloc((size_t)LEVELS * check->page);
    return check_tree(check, &meta.trees[FREE], FREE) && check_tree(check, &meta.trees[MAIN], MAIN);
}

int tide_store_check_pages(struct tide_store *store)
{
    char path[4200];
    struct stat file;
    struct check *check = tide_alloc(sizeof(*check));
    snprintf(path, sizeof(path), "%s/data.mdb", store->dir);
    check->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (check->fd < 0 && errno != ENOENT)
        wrong(check, strerror(errno));
    else if (check->fd >= 0 && fstat(check->fd, &file) == 0 && file.st_size > 0)
        check_file(check, (uint64_t)file.st_size);
    const char *why = check->why;
    if (check->fd >= 0)
        close(check->fd);
    free(check->seen);
    free(check->levels);
    free(check->big);
    free(check);
    return why ? tide_store_damaged(store, why) : TIDE_OK;
}
