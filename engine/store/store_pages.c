/* SPDX-License-Identifier: MIT
 * Goes through the pages of a store's file as LMDB has written them (version 1 of its format, as the sources of 0.9 have it).
 * Each is where it says it is, belongs to one tree or to the list of free pages and not to two, and has its entries within it
 * and in ascending order. What an entry holds is checked by its own checksum (tide_store_check_entry). So what is not seen
 * here is in bytes that nobody reads. Start reading at tide_store_check_page. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/status.h"
#include "store/inside.h"
#include "store/pages.h"

enum {
    NODE = 8, /* bytes of an entry before its key */
    BRANCH = 1,
    LEAF = 2,
    OVERFLOW = 4,
    BIG = 1 /* of an entry: its data are in pages of their own */
};

static bool wrong(struct tide_store_walker *walker, const char *why)
{
    walker->why = why;
    return false;
}

const char *tide_store_read_bytes(int fd, void *to, size_t length, uint64_t offset)
{
    for (size_t done = 0; done < length;) {
        ssize_t part = pread(fd, (char *)to + done, length - done, (off_t)(offset + done));
        if (part < 0 && errno == EINTR)
            continue;
        if (part <= 0)
            return part == 0 ? "its file is cut off" : strerror(errno);
        done += (size_t)part;
    }
    return NULL;
}

static bool read_at(struct tide_store_walker *walker, void *to, size_t length, uint64_t offset)
{
    const char *why = tide_store_read_bytes(walker->check->fd, to, length, offset);
    return why ? wrong(walker, why) : true;
}

/* A page belongs to one place. */
static bool take_pages(struct tide_store_walker *walker, uint64_t number, uint64_t count)
{
    if (number < 2 || number >= walker->check->pages || count > walker->check->pages - number)
        return wrong(walker, "a page is beyond its end");
    for (uint64_t i = number; i < number + count; i++) {
        uint8_t bit = (uint8_t)(1 << i % 8);
        if (atomic_fetch_or_explicit(&walker->check->seen[i / 8], bit, memory_order_relaxed) & bit)
            return wrong(walker, "a page belongs to two places");
    }
    return true;
}

/* ---- entries ---- */

static int compare(const struct tide_store_walker *walker, const MDB_val *key)
{
    if (walker->check->tree == TIDE_STORE_FREE) {
        uint64_t before, now;
        memcpy(&before, walker->last, sizeof(before));
        memcpy(&now, key->mv_data, sizeof(now));
        return before < now ? -1 : before > now;
    }
    size_t both = key->mv_size < walker->last_length ? key->mv_size : walker->last_length;
    int order = memcmp(walker->last, key->mv_data, both);
    if (order != 0)
        return order;
    return walker->last_length < key->mv_size ? -1 : walker->last_length > key->mv_size;
}

bool tide_store_follows(struct tide_store_walker *walker, const MDB_val *key, bool separates)
{
    if (walker->check->tree == TIDE_STORE_FREE && key->mv_size != sizeof(uint64_t))
        return wrong(walker, "a number of a transaction has the wrong size");
    int order = walker->any ? compare(walker, key) : -1;
    if (order > 0 || (order == 0 && (separates || !walker->or_equal)))
        return wrong(walker, "its keys are out of order");
    walker->any = true;
    walker->or_equal = separates;
    walker->last_length = key->mv_size;
    if (key->mv_size > 0)
        memcpy(walker->last, key->mv_data, key->mv_size);
    return true;
}

/* The pages that a transaction has freed: their count, and their numbers in descending order. */
static bool check_free(struct tide_store_walker *walker, const MDB_val *key, const MDB_val *data)
{
    uint64_t transaction, count = 0, number, before = UINT64_MAX;
    memcpy(&transaction, key->mv_data, sizeof(transaction));
    if (data->mv_size >= sizeof(count))
        memcpy(&count, data->mv_data, sizeof(count));
    if (transaction > walker->check->transaction || data->mv_size % sizeof(count) != 0 ||
        count >= data->mv_size / sizeof(count) + !data->mv_size)
        return wrong(walker, "its list of free pages is wrong");
    for (uint64_t i = 1; i <= count; i++, before = number) {
        memcpy(&number, (const char *)data->mv_data + i * sizeof(number), sizeof(number));
        if (number >= before)
            return wrong(walker, "its list of free pages is out of order");
        if (!take_pages(walker, number, 1))
            return false;
    }
    return true;
}

static bool read_big(struct tide_store_walker *walker, const char *where, MDB_val *data)
{
    struct tide_store_page_head head;
    uint64_t number,
        need = (TIDE_STORE_PAGE_HEAD - 1 + data->mv_size) / walker->check->page_size + 1;
    uint32_t pages;
    memcpy(&number, where, sizeof(number));
    if (number < 2 || number >= walker->check->pages)
        return wrong(walker, "a page is beyond its end");
    if (!read_at(walker, &head, sizeof(head), number * walker->check->page_size))
        return false;
    memcpy(&pages, &head.lower, sizeof(pages));
    if (head.number != number || head.flags != OVERFLOW || pages < need)
        return wrong(walker, "the pages of a long value are others");
    if (!take_pages(walker, number, pages))
        return false;
    if (walker->big_room < data->mv_size) {
        free(walker->big);
        walker->big = tide_alloc(data->mv_size);
        walker->big_room = data->mv_size;
    }
    walker->found.overflows += pages;
    data->mv_data = walker->big;
    return read_at(walker, walker->big, data->mv_size,
                   number * walker->check->page_size + TIDE_STORE_PAGE_HEAD);
}

static bool check_leaf_entry(struct tide_store_walker *walker, const char *node, size_t room,
                             const MDB_val *key)
{
    uint16_t low, high, flags;
    memcpy(&low, node, 2);
    memcpy(&high, node + 2, 2);
    memcpy(&flags, node + 4, 2);
    MDB_val data = {low | (size_t)high << 16, (char *)key->mv_data + key->mv_size};
    room -= NODE + key->mv_size;
    if (flags & ~BIG || room < (flags ? sizeof(uint64_t) : data.mv_size))
        return wrong(walker, "an entry is larger than its page");
    if (!tide_store_follows(walker, key, false) ||
        (flags && !read_big(walker, data.mv_data, &data)))
        return false;
    walker->found.entries++;
    if (walker->check->tree == TIDE_STORE_FREE)
        return check_free(walker, key, &data);
    enum tide_store_entry entry = tide_store_check_entry(key, &data);
    walker->other_format = entry == TIDE_ENTRY_OTHER_FORMAT;
    return entry == TIDE_ENTRY_SOUND || wrong(walker, tide_store_entry_text(entry));
}

/* ---- pages ---- */

static bool is_leaf(const struct tide_store_walker *walker, uint32_t level)
{
    return level + 1 == walker->check->depth;
}

bool tide_store_read_page(struct tide_store_walker *walker, uint64_t number, uint32_t level,
                          struct tide_store_page_head *head)
{
    uint32_t size = walker->check->page_size;
    char *page = walker->levels + (size_t)level * size;
    bool leaf = is_leaf(walker, level);
    if (!take_pages(walker, number, 1) || !read_at(walker, page, size, number * size))
        return false;
    memcpy(head, page, sizeof(*head));
    if (head->number != number || head->flags != (leaf ? LEAF : BRANCH) ||
        head->lower < TIDE_STORE_PAGE_HEAD + 2 || head->lower % 2 != 0 ||
        head->upper < head->lower || head->upper > size)
        return wrong(walker, "a page is none, or another one");
    *(leaf ? &walker->found.leaves : &walker->found.branches) += 1;
    return true;
}

uint32_t tide_store_node_count(const struct tide_store_page_head *head)
{
    return (head->lower - TIDE_STORE_PAGE_HEAD) / 2u;
}

bool tide_store_read_node(struct tide_store_walker *walker, const struct tide_store_page_head *head,
                          uint32_t level, uint32_t i, struct tide_store_part *node)
{
    uint32_t size = walker->check->page_size;
    char *page = walker->levels + (size_t)level * size;
    uint16_t at, key_length, low, high, higher;
    memcpy(&at, page + TIDE_STORE_PAGE_HEAD + 2 * (size_t)i, 2);
    if (at < head->upper || at > size - NODE)
        return wrong(walker, "an entry is beyond its page");
    memcpy(&key_length, page + at + 6, 2);
    if (key_length > size - at - NODE)
        return wrong(walker, "a key is longer than its page");
    memcpy(&low, page + at, 2);
    memcpy(&high, page + at + 2, 2);
    memcpy(&higher, page + at + 4, 2);
    node->page = low | (uint64_t)high << 16 | (uint64_t)higher << 32;
    node->first = (MDB_val){key_length, page + at + NODE};
    return true;
}

/* Number `i` of a leaf is an entry, of a branch the tree under it. */
static bool check_node(struct tide_store_walker *walker, const struct tide_store_page_head *head,
                       uint32_t level, uint32_t i)
{
    const char *page = walker->levels + (size_t)level * walker->check->page_size;
    struct tide_store_part node;
    if (!tide_store_read_node(walker, head, level, i, &node))
        return false;
    if (!is_leaf(walker, level))
        return (i == 0 || tide_store_follows(walker, &node.first, true)) &&
               tide_store_check_page(walker, node.page, level + 1);
    const char *entry = (const char *)node.first.mv_data - NODE;
    return check_leaf_entry(walker, entry, (size_t)(page + walker->check->page_size - entry),
                            &node.first);
}

bool tide_store_check_page(struct tide_store_walker *walker, uint64_t number, uint32_t level)
{
    struct tide_store_page_head head;
    if (!tide_store_read_page(walker, number, level, &head))
        return false;
    for (uint32_t i = 0; i < tide_store_node_count(&head); i++)
        if (!check_node(walker, &head, level, i))
            return false;
    return true;
}
