/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replay.c - the consumer. An event is handed to QEMU only when all of it is in the ring and its
 * lengths have been checked: QEMU's own reader believes what it reads. At the end of the log it
 * waits; promoted, it goes live there.
 */
#include <string.h>

#include "shim.h"
#include "version.h"

/*
 * At the end of the log the next event is often microseconds away: look for that long before the
 * system call. Bounded, so that an idle backup costs nothing.
 */
enum { SPIN_TURNS = 200, LOG_SLEEP_MS = 20, ROOM_NOTICES_PER_RING = 16 };

static struct {
    uint64_t position;  /* LSN of the next byte to hand out */
    uint64_t event_end; /* LSN behind the event being handed out */
    uint64_t notice_at; /* consumed LSN at which the sidecar is told that there is room again */
    _Atomic int kind;   /* of the event being handed out; -1: none yet */
    _Atomic bool waits;
    bool header_passed; /* of the made-up log */
    bool load_begun;
} consumer;

void replay_start(void)
{
    consumer.position = consumer.event_end = 0;
    atomic_store(&consumer.kind, -1);
}

bool replay_waits_for_log(void)
{
    return atomic_load_explicit(&consumer.waits, memory_order_relaxed);
}

int replay_current_kind(void)
{
    return atomic_load_explicit(&consumer.kind, memory_order_relaxed);
}

uint64_t replay_event_end(void)
{
    return consumer.event_end;
}

bool replay_load_begun(void)
{
    return consumer.load_begun;
}

uint64_t replay_position(void)
{
    return consumer.position;
}

static void publish_consumed(uint64_t lsn)
{
    ring_store64(&shim_control()->consumed, lsn);
    if (lsn < consumer.notice_at)
        return;
    consumer.notice_at = lsn + shim.ring.bytes / ROOM_NOTICES_PER_RING;
    ring_notify_sidecar(&shim.ring);
}

static void check_device(uint64_t lsn)
{
    const uint8_t *event = ring_at(&shim.ring, lsn);
    if (!devices_have(event))
        shim_halt(FTLOG_ERR_EVENT_FIELD, lsn,
                  "corrupt log at %llu: %s for device %d, which this QEMU has not",
                  (unsigned long long)lsn, ftlog_event_name(event[0]), ftlog_event_device(event));
}

/* Length of the whole event at `lsn`, 0 when it has not all arrived. */
static uint64_t whole_event(uint64_t lsn, uint64_t produced)
{
    if (produced <= lsn)
        return 0;
    if (produced - lsn > shim.ring.bytes)
        shim_halt(FTLOG_ERR_LOG_LOST, lsn, "log at %llu was overwritten (produced %llu)",
                  (unsigned long long)lsn, (unsigned long long)produced);
    int64_t length = ftlog_event_length(ring_at(&shim.ring, lsn), produced - lsn);
    if (length < 0)
        shim_halt((enum ftlog_error) - length, lsn, "corrupt log at %llu: %s, kind %u",
                  (unsigned long long)lsn, ftlog_error_name((unsigned)-length),
                  *ring_at(&shim.ring, lsn));
    if (length > 0)
        check_device(lsn);
    return (uint64_t)length;
}

static void sleep_at_end(uint64_t produced)
{
    struct ftlog_control *control = shim_control();
    for (int i = 0; i < SPIN_TURNS; i++) {
        if (ring_load64(&control->produced) != produced)
            return;
        __builtin_ia32_pause();
    }
    uint32_t seen = ring_sleep_prepare(&shim.ring);
    if (ring_load64(&control->produced) != produced || ring_load32(&control->promote) != 0)
        ring_sleep_cancel(&shim.ring);
    else
        ring_sleep(&shim.ring, seen, LOG_SLEEP_MS);
}

/* Waits for the event at `position`. Its length, or 0: promoted, and the log ends here. */
static uint64_t await_event(void)
{
    struct ftlog_control *control = shim_control();
    for (;;) {
        /* In this order: what was produced before the promotion is seen after it. */
        bool promoted = ring_load32(&control->promote) != 0;
        uint64_t produced = ring_load64(&control->produced);
        uint64_t length = whole_event(consumer.position, produced);
        if (length > 0 || promoted) {
            atomic_store_explicit(&consumer.waits, false, memory_order_relaxed);
            return length;
        }
        publish_consumed(consumer.position);
        atomic_store_explicit(&consumer.waits, true, memory_order_relaxed);
        sleep_at_end(produced);
        if (shim_in_main_thread)
            control_beat();
    }
}

static int64_t big_endian64(const uint8_t *p)
{
    uint64_t value;
    memcpy(&value, p, sizeof(value));
    return (int64_t)__builtin_bswap64(value);
}

static void take_up(uint64_t length)
{
    const uint8_t *event = ring_at(&shim.ring, consumer.position);
    atomic_store_explicit(&consumer.kind, event[0], memory_order_relaxed);
    consumer.event_end = consumer.position + length;
    publish_consumed(consumer.position);
    if (event[0] == FTLOG_KIND_BLOCK)
        blocks_completed_one();
    else if (event[0] == FTLOG_KIND_CLOCK_HOST || event[0] == FTLOG_KIND_CLOCK_VIRTUAL_RT)
        clock_seen(event[0] - FTLOG_KIND_CLOCK_HOST, big_endian64(event + 1));
}

/* An event that QEMU does not know is done without it. */
static void skip_our_own(void)
{
    if (replay_current_kind() != FTLOG_KIND_WARP)
        return;
    warp_noted(ring_at(&shim.ring, consumer.position));
    consumer.position = consumer.event_end;
}

int replay_next_byte(void)
{
    if (shim_role() == ROLE_RECORD)
        return FTLOG_KIND_END; /* live: QEMU finishes fetching an event that it will not look at */
    if (!consumer.load_begun)
        return waiting_next_byte();
    while (consumer.position == consumer.event_end) {
        uint64_t length = await_event();
        if (length == 0) {
            golive_at(consumer.position);
            return FTLOG_KIND_END;
        }
        take_up(length);
        skip_our_own();
    }
    return *ring_at(&shim.ring, consumer.position++);
}

size_t replay_read(void *to, size_t count)
{
    if (!consumer.load_begun || count > consumer.event_end - consumer.position)
        shim_halt(FTLOG_ERR_EVENT_LENGTH, consumer.position,
                  "QEMU reads %zu bytes, more than the event holds", count);
    memcpy(to, ring_at(&shim.ring, consumer.position), count);
    consumer.position += count;
    return count;
}

/*
 * The sidecar has the log begin at the clone point that the primary told, and only then lets the
 * load in. The load brings the same position by another way, QEMU's vmstate: a clone that begins
 * anywhere else is not the one that the log belongs to, and all of that log must still be there.
 */
static void check_clone_point(uint64_t lsn)
{
    uint64_t begin = ring_load64(&shim_control()->reclaimed);
    uint64_t produced = ring_load64(&shim_control()->produced);
    if (consumer.load_begun)
        shim_halt(FTLOG_ERR_LOG_LOST, lsn, "the load asks for a log position twice: %llu",
                  (unsigned long long)lsn);
    if (lsn < FTLOG_HEADER_BYTES || lsn != begin || produced < begin ||
        produced - begin > shim.ring.bytes)
        shim_halt(FTLOG_ERR_LOG_LOST, lsn,
                  "the load asks for log position %llu, which is not here (%llu to %llu)",
                  (unsigned long long)lsn, (unsigned long long)begin, (unsigned long long)produced);
}

/* QEMU seeks twice: past the header at start, and to the vmstate's position in the load. */
void replay_seek(uint64_t lsn)
{
    if (!consumer.header_passed && lsn == FTLOG_HEADER_BYTES) {
        consumer.header_passed = true;
        waiting_rewind(lsn);
        return;
    }
    check_clone_point(lsn);
    uint64_t issued;
    memcpy(&issued, version_state_field(release->state_block_request_id), sizeof(issued));
    blocks_reset(issued); /* a clone point has no request under way */
    consumer.position = consumer.event_end = lsn;
    consumer.load_begun = true;
    publish_consumed(lsn);
    ring_store32(&shim_control()->state, FTLOG_STATE_REPLAYING);
    ring_notify_sidecar(&shim.ring);
}
