/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ring.h - the ring file: mapping, publication, and sleeping on its futexes. Knows nothing of QEMU.
 */
#ifndef LOCKSTEP_SHIM_RING_H
#define LOCKSTEP_SHIM_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "../ftlog/ftlog.h"

struct ring {
    struct ftlog_control *control;
    uint8_t *data; /* ring_bytes, mapped twice back to back: a run of bytes never wraps */
    uint64_t bytes;
};

/*
 * Maps the ring file at `path`. Returns FTLOG_OK, or why it is not usable; then `why` (of
 * why_bytes) holds a sentence, and ring->control is set if at least the control page is ours.
 */
enum ftlog_error ring_map(struct ring *ring, const char *path, char *why, uint64_t why_bytes);
void ring_unmap(struct ring *ring);

static inline uint8_t *ring_at(const struct ring *ring, uint64_t lsn)
{
    return ring->data + (lsn & (ring->bytes - 1));
}

/* Control words. Positions are released after the bytes they cover, and acquired before. */
static inline uint64_t ring_load64(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}
static inline uint32_t ring_load32(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}
static inline void ring_store64(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}
static inline void ring_store32(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* Tells the sidecar that something changed; a system call only if it sleeps. */
void ring_notify_sidecar(struct ring *ring);

/* True when `count` bytes can be written at `head` without touching what must be retained. */
bool ring_has_room(const struct ring *ring, uint64_t head, uint64_t count);

/*
 * Sleeping until the sidecar changed something, without missing a change:
 *     uint32_t seen = ring_sleep_prepare(ring);
 *     if (nothing to do yet) ring_sleep(ring, seen, ms); else ring_sleep_cancel(ring);
 */
uint32_t ring_sleep_prepare(struct ring *ring);
void ring_sleep(struct ring *ring, uint32_t seen, uint32_t ms);
void ring_sleep_cancel(struct ring *ring);

#endif
