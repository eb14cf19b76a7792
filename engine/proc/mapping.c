/* SPDX-License-Identifier: MIT
 * What zygote and workers keep mapped of the engine's shared memory (the table is in shm/block.h). All of it was mapped
 * before the first fork, so here mappings are only taken away, or made read-only. */
#include "base/status.h"
#include "proc/inside.h"
#include "shm/block.h"

/* No descriptor of any block is left: with one, its owner could map the pages once more, as it likes. */
int tide_zygote_map_blocks(struct tide_zygote *zygote)
{
    int status = TIDE_OK;
    for (uint32_t i = 0; i < zygote->block_count && status == TIDE_OK; i++) {
        if (zygote->blocks[i]->worker == TIDE_BLOCK_ENGINE)
            status = tide_block_make_read_only(zygote->blocks[i]);
        else
            tide_block_detach(zygote->blocks[i]);
    }
    return status;
}

/* What other workers write is none of this one's business: it could change their results, or read them. */
void tide_worker_unmap_others(struct tide_zygote *zygote, uint32_t worker)
{
    for (uint32_t i = 0; i < zygote->block_count; i++) {
        int32_t owner = zygote->blocks[i]->worker;
        if (owner != TIDE_BLOCK_ENGINE && owner != (int32_t)worker)
            tide_block_unmap(zygote->blocks[i]);
    }
}
