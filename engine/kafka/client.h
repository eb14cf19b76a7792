/* SPDX-License-Identifier: MIT
 * engine/kafka/client.h - from properties to a librdkafka configuration. A value may be a secret:
 * none is ever part of a text. */
#ifndef TIDE_KAFKA_CLIENT_H
#define TIDE_KAFKA_CLIENT_H

#include <stdint.h>

#include "base/plan.h"

struct rd_kafka_conf_s;

/** Properties with strings of their own. Zero it to begin with. */
struct tide_properties {
    struct tide_property *items;
    uint32_t count;
};

/** Replaces what is there by copies; names that begin with "-" are not for librdkafka and are left
 * out. */
void tide_properties_set(struct tide_properties *properties, const struct tide_property *items,
                         uint32_t count);
/** The value that holds (the last of that name), or NULL. */
const char *tide_properties_get(const struct tide_properties *properties, const char *name);
/** Overwrites the values and frees all. */
void tide_properties_wipe(struct tide_properties *properties);
/** bootstrap.servers, for texts: never NULL, never a secret. */
const char *tide_properties_brokers(const struct tide_properties *properties);

/** `defaults` (ends with a NULL name; one that this librdkafka does not know is passed over) give way
 * to `properties`, and those to `fixed` (likewise), which hold the promises. Log lines go to tide_log.
 * NULL with TIDE_ECONFIG's text in tide_error(). */
struct rd_kafka_conf_s *tide_kafka_conf_new(const struct tide_property *defaults,
                                            const struct tide_properties *properties,
                                            const struct tide_property *fixed);

#endif
