/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * clock.c - clocks that go through the log: the host's time of day, and "virtual-rt", which QEMU
 * derives from the host's monotonic clock and moves the guest's time with while the guest idles.
 *
 * QEMU's replay_save_clock is replaced, for two reasons.
 * - It asserts the replay lock, and the migration thread reads the host clock for its statistics
 *   without it. Such a reading is not the guest's: it is answered and not logged.
 * - A VM that went live reads the clocks of another host. Its virtual-rt clock began when this
 *   QEMU was started by the load, later than the primary's, and a reading that goes back would set
 *   guest time back. So from go-live on: virtual-rt goes on from the last value in the log; the
 *   time of day is this host's, but never less than what the log said.
 *
 * Each value is also left in QEMU's cache of replayed clocks, which recording does not fill: a
 * clone takes it along, and answers a reading that has no event of its own from it.
 */
#include <string.h>

#include "hook.h"
#include "shim.h"
#include "symbols.h"
#include "version.h"

enum { KIND_HOST = 0, KIND_VIRTUAL_RT = 1, KINDS = 2 };

static struct {
    int64_t last[KINDS];   /* last value that went through the log */
    int64_t offset[KINDS]; /* added to what this host says */
    bool adjust[KINDS];    /* went live, and this clock was not read since */
} clocks;

void clock_seen(unsigned kind, int64_t ns)
{
    if (kind < KINDS)
        clocks.last[kind] = ns;
}

void clock_gone_live(void)
{
    clocks.adjust[KIND_HOST] = clocks.adjust[KIND_VIRTUAL_RT] = true;
}

static void adjust_after_go_live(int kind, int64_t ns)
{
    int64_t behind = clocks.last[kind] - ns;
    clocks.offset[kind] = kind == KIND_VIRTUAL_RT || behind > 0 ? behind : 0;
    clocks.adjust[kind] = false;
}

static int64_t forward_only(int kind, int64_t ns)
{
    if (clocks.adjust[kind])
        adjust_after_go_live(kind, ns);
    ns += clocks.offset[kind];
    if (kind == KIND_VIRTUAL_RT && ns < clocks.last[kind])
        ns = clocks.last[kind];
    return ns;
}

static void log_clock(int kind, int64_t ns)
{
    uint64_t big_endian = __builtin_bswap64((uint64_t)ns);
    uint8_t event[1 + sizeof(big_endian)] = {(uint8_t)(FTLOG_KIND_CLOCK_HOST + kind)};
    memcpy(event + 1, &big_endian, sizeof(big_endian));
    record_append(event, sizeof(event));
}

static int64_t save_clock(int kind, int64_t ns, int64_t icount)
{
    if (kind < 0 || kind >= KINDS)
        shim_halt(FTLOG_ERR_EVENT_KIND, record_position(), "QEMU logs clock %d", kind);
    if (!qemu.replay_mutex_locked())
        return ns + clocks.offset[kind];
    ns = forward_only(kind, ns);
    clocks.last[kind] = ns;
    memcpy(version_state_field(release->state_cached_clock) + (size_t)kind * sizeof(ns), &ns,
           sizeof(ns));
    qemu.replay_advance_current_icount((uint64_t)icount);
    log_clock(kind, ns);
    return ns;
}

void clock_install(void)
{
    hook_replace((void *)qemu.replay_save_clock, (void (*)(void))save_clock, "replay_save_clock");
}
