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
 *   guest time back. So from go-live on: virtual-rt goes on as the primary's would have; the time
 *   of day is this host's, but never less than what the log said.
 *
 * What the primary's virtual-rt would say now: each of its values in the log came some time after
 * it was read, and the shortest such time of late is that of the way alone. It stays out, so that
 * this side is behind by that, and never ahead. Of late: the hosts' clocks may drift.
 *
 * virtual-rt leaves out the time for which QEMU is stopped. A clone's stop is not the guest's
 * affair: it is put in again (clone.c).
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

static const uint64_t LAG_PERIOD_NS = 30 * 1000000000ull;

/* How much this host's monotonic clock was ahead of the virtual-rt values that came, at least: in
 * this period, and in the last one. */
static struct {
    int64_t least, least_before;
    uint64_t since_ns; /* 0: nothing came yet */
} lag;

static struct {
    int64_t last[KINDS];   /* last value that went through the log */
    int64_t offset[KINDS]; /* added to what this host says */
    bool adjust[KINDS];    /* went live, and this clock was not read since */
} clocks;

static void measure_lag(int64_t ns)
{
    uint64_t arrived_ns = arrival_ns(replay_event_end());
    int64_t this_one = (int64_t)arrived_ns - ns;
    if (lag.since_ns == 0 || arrived_ns > lag.since_ns + LAG_PERIOD_NS) {
        lag.least_before = lag.since_ns == 0 ? this_one : lag.least;
        lag.least = this_one;
        lag.since_ns = arrived_ns;
    } else if (this_one < lag.least) {
        lag.least = this_one;
    }
}

void clock_seen(unsigned kind, int64_t ns)
{
    if (kind < KINDS)
        clocks.last[kind] = ns;
    if (kind == KIND_VIRTUAL_RT)
        measure_lag(ns);
}

/* The primary's virtual-rt, as far as one can tell. */
static int64_t primarys_now(void)
{
    int64_t least = lag.least < lag.least_before ? lag.least : lag.least_before;
    return lag.since_ns == 0 ? INT64_MIN : (int64_t)monotonic_ns() - least;
}

void clock_gone_live(void)
{
    clocks.adjust[KIND_HOST] = clocks.adjust[KIND_VIRTUAL_RT] = true;
}

static void adjust_after_go_live(int kind, int64_t ns)
{
    int64_t from = clocks.last[kind];
    if (kind == KIND_VIRTUAL_RT && primarys_now() > from)
        from = primarys_now();
    clocks.offset[kind] = kind == KIND_VIRTUAL_RT || from > ns ? from - ns : 0;
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

int64_t clock_real_ns(void)
{
    return forward_only(KIND_VIRTUAL_RT, qemu.cpu_get_clock());
}

int64_t clock_left_out_ns(void)
{
    return (int64_t)monotonic_ns() - qemu.cpu_get_clock();
}

void clock_put_in(int64_t ns)
{
    clocks.offset[KIND_VIRTUAL_RT] += ns;
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
