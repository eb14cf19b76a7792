/* SPDX-License-Identifier: MIT
 * The engine's metrics. A histogram has fixed buckets of logarithmic width, so that observing is an addition and takes a
 * few nanoseconds whatever the values are; a quantile is then good to 19 %, which is enough to see what is slow. HdrHistogram
 * would be more exact and several times as large. Start with tide_observe_many() and bucket_of(). */
#include "shm/counters.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/status.h"

struct tide_counters {
    uint32_t rows;
    size_t bytes;
    struct tide_counter *cells; /* rows x TIDE_M_COUNT, shared */
};

struct tide_counters *tide_counters_new(uint32_t rows)
{
    struct tide_counters *counters = tide_alloc(sizeof(*counters));
    counters->rows = rows;
    counters->bytes = sizeof(struct tide_counter) * TIDE_M_COUNT * rows;
    counters->cells = mmap(NULL, counters->bytes, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (counters->cells == MAP_FAILED) {
        tide_fail_system("counters");
        free(counters);
        return NULL;
    }
    return counters;
}

/* A row is a plain number that each step keeps. A wrong one would count for the step beside it, and nobody would
 * notice. */
static struct tide_counter *cell(const struct tide_counters *counters, uint32_t row,
                                 enum tide_metric metric)
{
    tide_require(row < counters->rows && metric < TIDE_M_COUNT);
    return &counters->cells[(size_t)row * TIDE_M_COUNT + metric];
}

void tide_count(struct tide_counters *counters, uint32_t row, enum tide_metric metric, uint64_t by)
{
    cell(counters, row, metric)->count += by;
}

/* The exponent and the two highest bits of the fraction, taken from the bits of the double, since log2() takes 20 ns.
 * The sign is 0 here, so a shift by 50 leaves exactly these 13 bits, and the subtraction makes 2^-20 the first bucket.
 * What is smaller, or no number at all, counts there, and what is too large in the last one: no observation is lost. */
static uint32_t bucket_of(double value)
{
    uint64_t bits;
    if (!(value > 0))
        return 0;
    memcpy(&bits, &value, 8);
    int64_t index = (int64_t)(bits >> 50) - ((1023 - 20) << 2);
    return index < 0 ? 0 : index >= TIDE_BUCKETS ? TIDE_BUCKETS - 1 : (uint32_t)index;
}

void tide_observe_many(struct tide_counters *counters, uint32_t row, enum tide_metric metric,
                       double value, uint64_t times)
{
    struct tide_counter *counter = cell(counters, row, metric);
    if (times == 0)
        return;
    /* The first value is least and greatest at once: the zeros of a new cell were never observed. */
    if (counter->count == 0 || value < counter->min)
        counter->min = value;
    if (counter->count == 0 || value > counter->max)
        counter->max = value;
    counter->count += times;
    counter->sum += value * (double)times;
    counter->last = value;
    counter->buckets[bucket_of(value)] += times;
}

void tide_observe(struct tide_counters *counters, uint32_t row, enum tide_metric metric,
                  double value)
{
    tide_observe_many(counters, row, metric, value, 1);
}

/* Since all histograms have the same buckets, those of several rows can be added, and a quantile of the sum is as good
 * as one of a single row. A counter without observations has no min and max to give. */
void tide_counter_add(struct tide_counter *sum, const struct tide_counter *counter)
{
    if (counter->count > 0 && (sum->count == 0 || counter->min < sum->min))
        sum->min = counter->min;
    if (counter->count > 0 && (sum->count == 0 || counter->max > sum->max))
        sum->max = counter->max;
    sum->count += counter->count;
    sum->sum += counter->sum;
    sum->last += counter->last;
    for (uint32_t i = 0; i < TIDE_BUCKETS; i++)
        sum->buckets[i] += counter->buckets[i];
}

const struct tide_counter *tide_counters_get(const struct tide_counters *counters, uint32_t row,
                                             enum tide_metric metric)
{
    return cell(counters, row, metric);
}

uint32_t tide_counters_rows(const struct tide_counters *counters)
{
    return counters->rows;
}

double tide_counter_quantile(const struct tide_counter *counter, double share)
{
    /* The total is taken from the buckets: `count` may have been raised since, and then the wanted rank might not be
     * there. */
    uint64_t total = 0, seen = 0;
    for (uint32_t i = 0; i < TIDE_BUCKETS; i++)
        total += counter->buckets[i];
    if (total == 0)
        return 0;
    uint64_t wanted = (uint64_t)(share * (double)total);
    for (uint32_t i = 0; i < TIDE_BUCKETS; i++) {
        seen += counter->buckets[i];
        if (seen > wanted || seen == total) {
            /* The middle of the bucket stands for all in it, but nobody should read a quantile that lies outside of
             * what was observed. */
            double middle = ldexp(1 + ((i & 3) + 0.5) / 4, (int)(i >> 2) - 20);
            return middle < counter->min   ? counter->min
                   : middle > counter->max ? counter->max
                                           : middle;
        }
    }
    return counter->max;
}

void tide_counters_free(struct tide_counters *counters)
{
    if (!counters)
        return;
    munmap(counters->cells, counters->bytes);
    free(counters);
}
