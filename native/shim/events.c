/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * events.c - takes what came from outside to the guest at once.
 *
 * Recording, QEMU queues a packet or a completion and kicks the vCPU, which logs and runs the queue
 * at its next turn. But the kick does not wake a halted vCPU: it has nothing to do until its next
 * timer, and a packet for an idle guest waits that long (20 ms seen). So the main thread, before
 * it sleeps, runs the queue itself, by the same function and under the same locks as the vCPU
 * would. A busy vCPU was kicked out of guest code and finds the lock before us: then the queue is
 * empty.
 */
#include "shim.h"
#include "symbols.h"

bool events_deliver(void)
{
    if (!qemu.replay_has_events() || !qemu.runstate_is_running())
        return false;
    shim_lock_both();
    bool some = qemu.replay_has_events();
    if (some)
        qemu.icount_account_warp_timer();
    shim_unlock_both();
    return some;
}
