/* SPDX-License-Identifier: MIT
 * engine/store/pages.h - between the two files that check the file of a store: store_check.c (the file, its trees, the
 * threads) and store_pages.c (one page and all below it). A walker is one thread's; walkers share a check. */
#ifndef TIDE_STORE_PAGES_H
#define TIDE_STORE_PAGES_H

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum tide_store_tree { TIDE_STORE_FREE = 0 /* of the free pages */, TIDE_STORE_MAIN = 1 };

enum {
    TIDE_STORE_PAGE_HEAD = 16,   /* bytes of a page before its list of entries */
    TIDE_STORE_PAGE_LEVELS = 32, /* that a tree may have */
    TIDE_STORE_PAGE_MOST = 65536 /* bytes of a page, by LMDB's own limits */
};

struct tide_store_page_head {
    uint64_t number;
    uint16_t pad, flags, lower,
        upper; /* of an overflow page the last two are the number of its pages */
};

struct tide_store_counts {
    uint64_t branches, leaves, overflows, entries;
};

/** What is below an entry of the root. No key of it is before `first`; the first part has none. */
struct tide_store_part {
    uint64_t page;
    MDB_val first;
};

/** What all walkers share. Only `seen` and `next` change while there are several. */
struct tide_store_check {
    int fd;
    uint32_t page_size;
    uint64_t pages; /* that the file has, and the newest transaction knows of */
    uint64_t transaction;
    _Atomic uint8_t *seen; /* a bit for each page */
    enum tide_store_tree tree;
    uint32_t depth; /* of that tree */
    struct tide_store_part *parts;
    uint32_t part_count;
    _Atomic uint32_t next; /* part that no walker has begun */
    bool other_format;     /* of what is wrong with it: another version has written it */
};

struct tide_store_walker {
    struct tide_store_check *check;
    pthread_t thread;
    char *levels; /* a page for each level of the tree */
    char *big;    /* the data of an entry with pages of its own */
    size_t big_room;
    struct tide_store_counts found;
    char last[TIDE_STORE_PAGE_MOST]; /* the key that the next one has to be behind ... */
    size_t last_length;
    bool or_equal;     /* ... or equal to, since it only separates */
    bool any;          /* there is one */
    uint32_t part;     /* that is damaged */
    const char *why;   /* it is damaged; NULL = it is not, as far as the walker has been */
    bool other_format; /* it is not: another version has written it */
};

/** Reads so many bytes of the file. NULL, or what is wrong. */
const char *tide_store_read_bytes(int fd, void *to, size_t length, uint64_t offset);

/* Each of these is false when it has found damage: walker->why says what. */

/** The key is behind all before it. `separates`: it is no entry's, but the least that those behind it may have. */
bool tide_store_follows(struct tide_store_walker *walker, const MDB_val *key, bool separates);
/** Reads page `number` of this level (0 = the root) to walker->levels, and takes it. */
bool tide_store_read_page(struct tide_store_walker *walker, uint64_t number, uint32_t level,
                          struct tide_store_page_head *head);
/** Entry number `i` of what was read of this level: its key, which lies there, and in a branch the number of what is below it. */
bool tide_store_read_node(struct tide_store_walker *walker, const struct tide_store_page_head *head,
                          uint32_t level, uint32_t i, struct tide_store_part *node);
/** The entries of a page. */
uint32_t tide_store_node_count(const struct tide_store_page_head *head);
/** Page `number` and all that is below it. */
bool tide_store_check_page(struct tide_store_walker *walker, uint64_t number, uint32_t level);

#endif
