/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-or-later */
/*
 * parse.h - the events of QEMU's record/replay log, as one table.
 *
 * Everything that must know an event's kind, name, length or payload asks here: the
 * shim (where does the next complete event end), the sidecar and `log dump` (through
 * the add-on). Nothing allocates, nothing keeps state, no byte beyond `available` is read.
 *
 * Format: QEMU 10.0, log version 0xe0200c. A log is a 12-byte header (u32 version, u64
 * reserved), then events: one byte of kind, then the payload, integers big-endian. Kinds
 * behind QEMU's last one are the shim's own; it takes them out before QEMU reads.
 */
#ifndef LOCKSTEP_FTLOG_PARSE_H
#define LOCKSTEP_FTLOG_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "ftlog.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FTLOG_LOG_VERSION_10_0 0xe0200cu
/* What the shim adds to QEMU's log, counted; above the three bytes of QEMU's version word it is
 * what the two sides of a pair compare. 1: the event "warp". */
#define FTLOG_OWN_REVISION 1u
#define FTLOG_OWN_REVISION_SHIFT 24

enum ftlog_kind {
    FTLOG_KIND_INSTRUCTIONS = 0,
    FTLOG_KIND_INTERRUPT = 1,
    FTLOG_KIND_EXCEPTION = 2,
    FTLOG_KIND_BH = 3,
    FTLOG_KIND_BH_ONESHOT = 4,
    FTLOG_KIND_INPUT = 5,
    FTLOG_KIND_INPUT_SYNC = 6,
    FTLOG_KIND_CHAR_READ = 7,
    FTLOG_KIND_BLOCK = 8,
    FTLOG_KIND_NET = 9,
    FTLOG_KIND_SHUTDOWN_FIRST = 10,
    FTLOG_KIND_SHUTDOWN_HOST_ERROR = 11,
    FTLOG_KIND_SHUTDOWN_HOST_QUIT = 12,
    FTLOG_KIND_SHUTDOWN_HOST_SIGNAL = 14,
    FTLOG_KIND_SHUTDOWN_HOST_UI = 15,
    FTLOG_KIND_SHUTDOWN_LAST = 20, /* 21 is reserved by QEMU and never written */
    FTLOG_KIND_CHAR_WRITE = 22,
    FTLOG_KIND_CHAR_READ_ALL = 23,
    FTLOG_KIND_CHAR_READ_ALL_ERROR = 24,
    FTLOG_KIND_AUDIO_OUT = 25,
    FTLOG_KIND_AUDIO_IN = 26,
    FTLOG_KIND_RANDOM = 27,
    FTLOG_KIND_CLOCK_HOST = 28,
    FTLOG_KIND_CLOCK_VIRTUAL_RT = 29,
    FTLOG_KIND_CHECKPOINT_FIRST = 30,
    FTLOG_KIND_CHECKPOINT_LAST = 38,
    FTLOG_KIND_END = 39,
    FTLOG_KIND_WARP = 40, /* the shim's own; QEMU's end at 39 */
    FTLOG_KIND_COUNT = 41,
};

/*
 * Bounds of what an event may carry, in bytes. QEMU's own reader trusts the lengths it
 * finds; these keep a corrupt log from making anyone wait or allocate without end. All
 * are below FTLOG_RING_BYTES_MIN, so that a whole event always fits any ring.
 */
#define FTLOG_NET_BYTES_MAX 69632u     /* NET_BUFSIZE in QEMU's net/net.h: 4096 + 65536 */
#define FTLOG_CHAR_BYTES_MAX 65536u    /* back ends read 4096 at once, agents a little more */
#define FTLOG_RANDOM_BYTES_MAX 262144u /* what a guest gets at once: the shim cuts its requests */
#define FTLOG_AUDIO_FRAME_BYTES 16u    /* left and right, u64 each */
#define FTLOG_AUDIO_FRAMES_MAX 16384u  /* of a capture buffer: four times 4096 by default */
#define FTLOG_EVENT_BYTES_MAX (1u + 16u + FTLOG_AUDIO_FRAME_BYTES * FTLOG_AUDIO_FRAMES_MAX)

/*
 * Length of the event that starts at p, of which `available` bytes are there.
 *   > 0  bytes of the whole event, kind byte included; never more than `available`
 *     0  incomplete: what is there is the beginning of a valid event
 *   < 0  -(enum ftlog_error): EVENT_KIND, EVENT_LENGTH or EVENT_FIELD
 * A bad length is told from the length word on, without waiting for the bytes it claims.
 */
int64_t ftlog_event_length(const uint8_t *p, uint64_t available);

enum ftlog_field_type {
    FTLOG_FIELD_UNSIGNED = 1, /* value */
    FTLOG_FIELD_SIGNED = 2,   /* value, as int64_t in two's complement */
    FTLOG_FIELD_BYTES = 3,    /* offset and length, from the start of the event */
};

struct ftlog_field {
    const char *name; /* static */
    uint32_t type;    /* enum ftlog_field_type */
    uint32_t offset;
    uint32_t length;
    uint64_t value;
};

#define FTLOG_EVENT_FIELDS_MAX 8

struct ftlog_event {
    uint32_t kind;
    uint32_t field_count;
    uint64_t length;
    struct ftlog_field fields[FTLOG_EVENT_FIELDS_MAX];
};

/* Like ftlog_event_length, and fills *event when the result is > 0. */
int64_t ftlog_event_decode(const uint8_t *p, uint64_t available, struct ftlog_event *event);

/* The number of the device that a whole event is for, -1 when its kind is for none. How many there
 * are only QEMU knows, which uses it as an index. */
int ftlog_event_device(const uint8_t *event);

/* "net", "clock-host", ...; NULL for a kind that this log version does not have. */
const char *ftlog_event_name(unsigned kind);

/* "EVENT_LENGTH", ...; "UNKNOWN" for a code that the contract does not have. */
const char *ftlog_error_name(unsigned code);

bool ftlog_log_version_known(uint32_t log_version);

#ifdef __cplusplus
}
#endif

#endif
