/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * golive.c - from replaying to recording, in place, between two events.
 *
 * Called inside QEMU's fetch of the next event, by whichever thread fetches, possibly with QEMU's
 * clock lock held: nothing here may read a clock of QEMU's. The event that QEMU is about to
 * believe in is END, which nobody looks at once the mode is RECORD; clone.c clears it before the
 * next clone.
 */
#include "shim.h"
#include "symbols.h"

void golive_at(uint64_t lsn)
{
    struct ftlog_control *control = shim_control();
    ring_store64(&control->consumed, lsn);
    ring_store64(&control->live_lsn, lsn);
    ring_store64(&control->live_time_ns, monotonic_ns());
    record_start(lsn); /* discards an incomplete last event: nobody can have acted on it */
    clock_gone_live();
    *qemu.replay_mode = QEMU_REPLAY_MODE_RECORD;
    atomic_store_explicit(&shim.role, ROLE_RECORD, memory_order_release);
    ring_store32(&control->state, FTLOG_STATE_LIVE);
    ring_notify_sidecar(&shim.ring);
    qemu.qemu_notify_event(); /* the main loop may sleep for an event of the log */
    shim_note("live at %llu", (unsigned long long)lsn);
}
