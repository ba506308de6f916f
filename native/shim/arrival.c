/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * arrival.c - when a piece of the log came, however long it waited to be taken up: a busy backup
 * may be seconds behind. The control thread looks every few milliseconds how much is there, and
 * keeps that for the thread that takes up. A full table keeps no more until there is room: what
 * came meanwhile counts as come later, never as come earlier.
 */
#include "shim.h"

enum { LOOKS_MAX = 1024 };

static const uint64_t INTERVAL_NS = 10 * 1000000u;

static struct {
    uint64_t produced, at_ns;
} looks[LOOKS_MAX];
static _Atomic uint32_t made, used; /* each written by one thread only */

void arrival_look(void)
{
    static uint64_t last_produced, last_ns;
    uint64_t produced = ring_load64(&shim_control()->produced);
    uint64_t now_ns = monotonic_ns(); /* in this order: it was there by then */
    uint32_t at = atomic_load_explicit(&made, memory_order_relaxed);
    bool full = at - atomic_load_explicit(&used, memory_order_acquire) == LOOKS_MAX;
    if (full || produced == last_produced || now_ns - last_ns < INTERVAL_NS)
        return;
    looks[at % LOOKS_MAX].produced = last_produced = produced;
    looks[at % LOOKS_MAX].at_ns = last_ns = now_ns;
    atomic_store_explicit(&made, at + 1, memory_order_release);
}

uint64_t arrival_ns(uint64_t lsn)
{
    uint32_t end = atomic_load_explicit(&made, memory_order_acquire);
    uint32_t at = atomic_load_explicit(&used, memory_order_relaxed);
    while (at != end && looks[at % LOOKS_MAX].produced < lsn)
        at++;
    uint64_t ns = at == end ? monotonic_ns() : looks[at % LOOKS_MAX].at_ns;
    atomic_store_explicit(&used, at, memory_order_release);
    return ns;
}
