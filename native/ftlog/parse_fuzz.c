/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-or-later */
/* libFuzzer target: walks any bytes as a log; what must hold of any input is asserted. */
#include <stdlib.h>
#include <string.h>

#include "parse.h"

#define MUST(what)                                                                                 \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static void fields_lie_inside(const struct ftlog_event *event)
{
    MUST(event->field_count <= FTLOG_EVENT_FIELDS_MAX);
    for (uint32_t i = 0; i < event->field_count; i++) {
        const struct ftlog_field *field = &event->fields[i];
        MUST(field->name);
        MUST((uint64_t)field->offset + field->length <= event->length);
    }
}

static void device_is_its_field(const uint8_t *p, const struct ftlog_event *event)
{
    const bool has = event->field_count > 0 && strcmp(event->fields[0].name, "device") == 0;
    MUST(ftlog_event_device(p) == (has ? (int)event->fields[0].value : -1));
}

static void shorter_is_incomplete(const uint8_t *p, int64_t length)
{
    MUST(ftlog_event_length(p, (uint64_t)length - 1) == 0);
    MUST(ftlog_event_length(p, (uint64_t)length) == length);
}

static void error_is_named(int64_t code)
{
    MUST(code == -FTLOG_ERR_EVENT_KIND || code == -FTLOG_ERR_EVENT_LENGTH ||
         code == -FTLOG_ERR_EVENT_FIELD);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t at = 0;
    while (at < size) {
        struct ftlog_event event;
        const int64_t length = ftlog_event_length(data + at, size - at);
        MUST(ftlog_event_decode(data + at, size - at, &event) == length);
        if (length <= 0) {
            if (length < 0) {
                error_is_named(length);
            } else {
                MUST(size - at < FTLOG_EVENT_BYTES_MAX);
            }
            return 0;
        }
        MUST((uint64_t)length <= size - at && (uint64_t)length <= FTLOG_EVENT_BYTES_MAX);
        shorter_is_incomplete(data + at, length);
        fields_lie_inside(&event);
        device_is_its_field(data + at, &event);
        at += (size_t)length;
    }
    return 0;
}
