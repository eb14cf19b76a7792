/* SPDX-License-Identifier: MIT
 * Finds partitions of which nothing comes although they are read, and pauses and resumes these once more. librdkafka can
 * lose a resume: its call takes a number first and is put into the partition's queue after that, and when a rebalance
 * pauses or resumes the partition between the two, the call counts as outdated (rd_kafka_toppar_op_serve, which answers
 * with __OUTDATED; rd_kafka_resume_partitions drops that answer). Then the partition stays paused for ever and nobody is
 * told: seen with 2.0.2 and 2.16.1, with a thread that is stopped at that place. But a partition that is fetched soon has
 * something to say: messages, an error, or that it has ended. Start reading at tide_kafka_unheard_look. */
#include <librdkafka/rdkafka.h>

#include "base/log.h"
#include "kafka/outage.h"
#include "kafka/source/inside.h"

/* Longer than a fetch takes. A broker that delays the answers of a client (a quota) may take longer, and what transactions
 * that were aborted have left is passed in silence and from its beginning again: hence each wait is twice the one before,
 * without an end. */
static const int64_t FIRST_US = 5000000, LONG_US = 20000000;

/* What one look may count: it comes once a second, and later only where this process could not run. Then the messages
 * could not come either. */
static const int64_t MOST_US = 1000000;

void tide_kafka_unheard_begin(struct tide_kafka_partition *partition, int64_t now_us)
{
    partition->unheard.since_us = now_us;
    partition->unheard.looked_us = now_us;
    partition->unheard.waited_us = 0;
    partition->unheard.wait_us = FIRST_US;
    partition->unheard.behind = 0;
}

void tide_kafka_unheard_end(struct tide_kafka_partition *partition)
{
    partition->unheard.since_us = 0;
}

static void count(struct tide_kafka_partition *partition, int64_t now_us)
{
    int64_t passed_us = now_us - partition->unheard.looked_us;
    partition->unheard.looked_us = now_us;
    partition->unheard.waited_us += passed_us < MOST_US ? passed_us : MOST_US;
}

static bool is_long(const struct tide_kafka_partition *partition)
{
    return partition->assignment == TIDE_KAFKA_OWNED && !partition->paused &&
           partition->unheard.since_us != 0 &&
           partition->unheard.waited_us >= partition->unheard.wait_us;
}

/* Its messages may be in the queue behind those of others, and a pause would drop them: so all that is in the queue when the
 * wait is over is read first. */
static bool is_queue_read(const struct tide_kafka_source *source,
                          struct tide_kafka_partition *partition, size_t length)
{
    if (partition->unheard.behind == 0)
        partition->unheard.behind = source->fetch.polled + length;
    return length == 0 || source->fetch.polled >= partition->unheard.behind;
}

static void tell(const struct tide_kafka_source *source, uint32_t index)
{
    const struct tide_kafka_partition *partition = &source->partitions[index];
    tide_log(partition->unheard.wait_us >= LONG_US ? TIDE_LOG_WARN : TIDE_LOG_DEBUG,
             "topic \"%s\" partition %d: nothing came for %lld s, it is resumed again",
             tide_kafka_partition_topic(source, index), partition->number,
             (long long)partition->unheard.wait_us / 1000000);
}

/* While no broker can be reached, nothing can come. The pause is for librdkafka before 2.4.0, which rewinds a partition that
 * is resumed and was not paused. */
void tide_kafka_unheard_look(struct tide_kafka_source *source, int64_t now_us)
{
    bool outage = tide_kafka_outage_lasts(source->outage);
    size_t length = rd_kafka_queue_length(source->data);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    for (uint32_t i = 0; i < source->partition_count; i++) {
        struct tide_kafka_partition *partition = &source->partitions[i];
        count(partition, now_us);
        if (!is_long(partition) || !is_queue_read(source, partition, length))
            continue;
        int64_t next_us = outage ? FIRST_US : partition->unheard.wait_us * 2;
        if (!outage) {
            tell(source, i);
            rd_kafka_topic_partition_list_add(list, tide_kafka_partition_topic(source, i),
                                              partition->number);
        }
        tide_kafka_unheard_begin(partition, now_us);
        partition->unheard.wait_us = next_us;
    }
    if (list->cnt > 0) {
        rd_kafka_pause_partitions(source->client, list);
        rd_kafka_resume_partitions(source->client, list);
    }
    rd_kafka_topic_partition_list_destroy(list);
}
