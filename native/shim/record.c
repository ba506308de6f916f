/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * record.c - the producer. QEMU writes an event in several pieces (kind, then the bytes of its
 * integers one at a time, then a payload). `produced` moves only when an event is whole: a reader
 * never sees half an event, and a crash leaves whole events. No output can overtake its event,
 * because QEMU finishes writing before it goes on.
 *
 * `net_logged` counts packets for the guest. QEMU's replay filter makes one event of each frame
 * that the netdev's socket brings, in their order, and none of what the guest sends (it looks at
 * the sender); so the n-th frame that the sidecar wrote is the n-th one counted. Not so when the
 * link of the NIC is down (set_link): QEMU takes the frame and throws it away before the filter.
 * Then the count stays behind for good, and a backup that relies on it repeats that many packets.
 */
#include <string.h>

#include "shim.h"

enum { ROOM_SLEEP_MS = 20 };

static struct {
    uint64_t head;        /* LSN of the next byte to be written */
    uint64_t event_start; /* LSN of the event being written; == head between events */
    bool closed;
} producer;

void record_start(uint64_t lsn)
{
    producer.head = producer.event_start = lsn;
    ring_store64(&shim_control()->produced, lsn);
}

static void wait_for_room(size_t count)
{
    struct ftlog_control *control = shim_control();
    __atomic_fetch_add(&control->ring_waits, 1, __ATOMIC_RELAXED);
    while (!ring_has_room(&shim.ring, producer.head, count)) {
        uint32_t seen = ring_sleep_prepare(&shim.ring);
        if (ring_has_room(&shim.ring, producer.head, count))
            ring_sleep_cancel(&shim.ring);
        else
            ring_sleep(&shim.ring, seen, ROOM_SLEEP_MS);
        if (shim_in_main_thread)
            control_beat();
    }
}

/*
 * A shutdown that this host asked for: a signal, `quit`, an error of its own. It ends this QEMU,
 * not the guest: for the backup it is a reason to take over, not to shut down as well. QEMU logs
 * one of these for every end (replay_finish), from its main loop's cleanup or, when it is left by
 * exit(), from its exit handler; and an end of log after it.
 */
static bool ends_this_host_only(uint8_t kind)
{
    return kind == FTLOG_KIND_SHUTDOWN_HOST_ERROR || kind == FTLOG_KIND_SHUTDOWN_HOST_QUIT ||
           kind == FTLOG_KIND_SHUTDOWN_HOST_SIGNAL || kind == FTLOG_KIND_SHUTDOWN_HOST_UI;
}

static void publish_event(void)
{
    uint8_t kind = *ring_at(&shim.ring, producer.event_start);
    if (ends_this_host_only(kind)) {
        producer.head = producer.event_start;
        producer.closed = true;
        return;
    }
    if (kind == FTLOG_KIND_BLOCK)
        blocks_completed_one();
    producer.event_start = producer.head;
    ring_store64(&shim_control()->produced, producer.head);
    if (kind == FTLOG_KIND_NET)
        __atomic_fetch_add(&shim_control()->net_logged, 1, __ATOMIC_RELEASE);
    ring_notify_sidecar(&shim.ring);
}

void record_append(const void *bytes, size_t count)
{
    if (producer.closed || count == 0)
        return;
    if (count > FTLOG_EVENT_BYTES_MAX)
        shim_halt(FTLOG_ERR_EVENT_LENGTH, producer.head, "QEMU logs %zu bytes at once", count);
    if (!ring_has_room(&shim.ring, producer.head, count))
        wait_for_room(count);
    uint8_t *to = ring_at(&shim.ring, producer.head);
    if (count == 1)
        *to = *(const uint8_t *)bytes;
    else
        memcpy(to, bytes, count);
    producer.head += count;
    int64_t length = ftlog_event_length(ring_at(&shim.ring, producer.event_start),
                                        producer.head - producer.event_start);
    if (length > 0)
        publish_event();
    else if (length < 0)
        shim_halt((enum ftlog_error) - length, producer.event_start,
                  "QEMU logs an event that no reader would take: %s",
                  ftlog_error_name((unsigned)-length));
}

uint64_t record_position(void)
{
    return producer.event_start;
}

void record_close(void)
{
    /* What is logged by exit handlers is about this process, too. A shutdown that is part of the
     * guest's life was logged when it happened. */
    producer.closed = true;
}
