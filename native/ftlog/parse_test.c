/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-or-later */
/* Every kind, every prefix, every bound. Exits non-zero at the first thing that does not hold. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"

#define ROOM (FTLOG_EVENT_BYTES_MAX + 64)

static uint8_t room[ROOM];

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #what);              \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* Writes hex digits (spaces ignored) to room and returns the number of bytes. */
static uint64_t put(const char *hex)
{
    uint64_t n = 0;
    for (; *hex; hex++) {
        unsigned byte;
        if (*hex == ' ') {
            continue;
        }
        CHECK(sscanf(hex++, "%2x", &byte) == 1);
        room[n++] = (uint8_t)byte;
    }
    return n;
}

/* A copy of exactly n bytes, so that the sanitizer sees a read beyond them. */
static int64_t length_of_copy(uint64_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    memcpy(copy, room, n);
    struct ftlog_event event;
    const int64_t length = ftlog_event_length(copy, n);
    CHECK(n == 0 || ftlog_event_decode(copy, n, &event) == length);
    free(copy);
    return length;
}

static void whole_and_each_prefix(const char *hex)
{
    const uint64_t n = put(hex);
    for (uint64_t some = 0; some < n; some++) {
        CHECK(length_of_copy(some) == 0);
    }
    CHECK(length_of_copy(n) == (int64_t)n);
    room[n] = 0xff;
    CHECK(length_of_copy(n + 1) == (int64_t)n);
}

static void refused(const char *hex, enum ftlog_error why)
{
    CHECK(length_of_copy(put(hex)) == -(int64_t)why);
}

static void test_every_layout(void)
{
    static const char *const events[] = {
        "00 00000001",
        "00 7fffffff",
        "01",
        "02",
        "03 0000000000000001",
        "04 ffffffffffffffff",
        "05 00000000 00000000 000000000000001e 01",
        "05 00000000 00000001 00000012 00",
        "05 00000001 00000009 01",
        "05 00000002 00000000 fffffffffffffff0",
        "05 00000003 00000001 0000000000007fff",
        "05 00000004 00000002 0000000000000001 ffffffffffffffff 00000001 0000000000000100",
        "06",
        "07 00 00000000",
        "07 03 00000002 6c73",
        "08 00000000000000ff",
        "09 00 00000000 00000004 deadbeef",
        "16 00000005 00000005",
        "17 00000001 aa",
        "18 fffffff5",
        "19 0000000000000010",
        "1a 0000000000000001 0000000000000007 11111111111111112222222222222222",
        "1a 0000000000000000 0000000000000007",
        "1b 00000000 00000008 0123456789abcdef",
        "1c 17b0a1e7c0de0001",
        "1d 0000000000000000",
        "27",
        "28 00000000004c4b40 00000000005b8d80",
    };
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        whole_and_each_prefix(events[i]);
    }
}

static void test_device_of_an_event(void)
{
    put("07 03 00000000");
    CHECK(ftlog_event_device(room) == 3);
    put("09 ff 00000000 00000000");
    CHECK(ftlog_event_device(room) == 255);
    put("08 00000000000000ff");
    CHECK(ftlog_event_device(room) == -1);
}

static void test_kinds_without_payload(void)
{
    for (unsigned kind = 0; kind < 256; kind++) {
        const bool bare = kind == 1 || kind == 2 || kind == 6 || (kind >= 10 && kind <= 20) ||
                          (kind >= 30 && kind <= 39);
        const bool known = kind < FTLOG_KIND_COUNT && kind != 21;
        room[0] = (uint8_t)kind;
        CHECK((ftlog_event_name(kind) != NULL) == known);
        CHECK(length_of_copy(1) == (known ? bare : -(int64_t)FTLOG_ERR_EVENT_KIND));
    }
    CHECK(ftlog_event_name(0x7fffffff) == NULL);
}

static void test_names_differ(void)
{
    for (unsigned a = 0; a < FTLOG_KIND_COUNT; a++) {
        for (unsigned b = 0; b < a && ftlog_event_name(a) && a != 21; b++) {
            CHECK(b == 21 || strcmp(ftlog_event_name(a), ftlog_event_name(b)) != 0);
        }
    }
}

static void test_bounds(void)
{
    static const struct {
        const char *at_most;
        uint64_t bytes;
        const char *too_long;
    } bounds[] = {
        {"07 00 00010000", FTLOG_CHAR_BYTES_MAX, "07 00 00010001"},
        {"09 00 00000000 00011000", FTLOG_NET_BYTES_MAX, "09 00 00000000 00011001"},
        {"17 00010000", FTLOG_CHAR_BYTES_MAX, "17 ffffffff"},
        {"1b 00000000 00040000", FTLOG_RANDOM_BYTES_MAX, "1b 00000000 00040001"},
        {"1a 0000000000004000 0000000000000000", 16 * FTLOG_AUDIO_FRAMES_MAX,
         "1a 1000000000000000 0000000000000000"},
    };
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        const uint64_t head = put(bounds[i].at_most);
        CHECK(length_of_copy(head) == 0);
        CHECK(length_of_copy(head + bounds[i].bytes - 1) == 0);
        CHECK(length_of_copy(head + bounds[i].bytes) == (int64_t)(head + bounds[i].bytes));
        CHECK(head + bounds[i].bytes <= FTLOG_EVENT_BYTES_MAX);
        refused(bounds[i].too_long, FTLOG_ERR_EVENT_LENGTH);
    }
    CHECK(FTLOG_EVENT_BYTES_MAX < FTLOG_RING_BYTES_MIN);
}

static void test_values_qemu_cannot_have_written(void)
{
    refused("00 00000000", FTLOG_ERR_EVENT_FIELD);
    refused("00 80000000", FTLOG_ERR_EVENT_FIELD);
    refused("05 00000005", FTLOG_ERR_EVENT_FIELD);
    refused("05 ffffffff", FTLOG_ERR_EVENT_FIELD);
    refused("05 00000000 00000002", FTLOG_ERR_EVENT_FIELD);
    refused("05 00000000 00000001 000000a2", FTLOG_ERR_EVENT_FIELD);
    refused("05 00000000 00000001 00000001 02", FTLOG_ERR_EVENT_FIELD);
    refused("05 00000001 0000000a", FTLOG_ERR_EVENT_FIELD);
    refused("05 00000002 00000002", FTLOG_ERR_EVENT_FIELD);
    refused("05 00000004 00000005", FTLOG_ERR_EVENT_FIELD);
    refused("28 8000000000000000 0000000000000001", FTLOG_ERR_EVENT_FIELD);
    refused("28 0000000000000001 ffffffffffffffff", FTLOG_ERR_EVENT_FIELD);
}

static void test_decoded_fields(void)
{
    struct ftlog_event event;
    uint64_t n = put("09 07 00000102 00000003 aabbcc");
    CHECK(ftlog_event_decode(room, n, &event) == (int64_t)n);
    CHECK(event.kind == FTLOG_KIND_NET && event.length == n && event.field_count == 3);
    CHECK(strcmp(event.fields[0].name, "device") == 0 && event.fields[0].value == 7);
    CHECK(event.fields[1].type == FTLOG_FIELD_UNSIGNED && event.fields[1].value == 0x102);
    CHECK(event.fields[2].type == FTLOG_FIELD_BYTES);
    CHECK(event.fields[2].offset == 10 && event.fields[2].length == 3);

    n = put("18 fffffff5");
    CHECK(ftlog_event_decode(room, n, &event) == (int64_t)n);
    CHECK(event.fields[0].type == FTLOG_FIELD_SIGNED && (int64_t)event.fields[0].value == -11);

    n = put("05 00000004 00000002 0000000000000001 ffffffffffffffff 00000001 0000000000000100");
    CHECK(ftlog_event_decode(room, n, &event) == (int64_t)n);
    CHECK(event.field_count == 6 && (int64_t)event.fields[3].value == -1);
}

static void test_error_names(void)
{
    CHECK(strcmp(ftlog_error_name(FTLOG_OK), "OK") == 0);
    for (unsigned code = 0; code <= FTLOG_ERR_EVENT_FIELD; code++) {
        CHECK(strcmp(ftlog_error_name(code), "UNKNOWN") != 0);
    }
    CHECK(strcmp(ftlog_error_name(FTLOG_ERR_EVENT_FIELD + 1), "UNKNOWN") == 0);
    CHECK(strcmp(ftlog_error_name(UINT32_MAX), "UNKNOWN") == 0);
    CHECK(ftlog_log_version_known(FTLOG_LOG_VERSION_10_0) && !ftlog_log_version_known(0));
}

int main(void)
{
    test_every_layout();
    test_device_of_an_event();
    test_kinds_without_payload();
    test_names_differ();
    test_bounds();
    test_values_qemu_cannot_have_written();
    test_decoded_fields();
    test_error_names();
    puts("ftlog parser: every kind, prefix and bound holds");
    return 0;
}
