/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * poll.c - QEMU's main loop sleeps in ppoll, holding no lock: the place to do what must be done in
 * the main thread between two turns, and to bound the sleep.
 *
 * Replaying, the main loop would sleep for real time although the next event is there already. So
 * its sleep is cut: to nothing when the next event is one that the main loop itself takes up, and
 * to a moment when it may be needed to make the event possible (a bottom half, a disk). While the
 * log has nothing to take up there is nothing to hurry for.
 *
 * The main thread may also sleep here in the middle of something, holding its locks: QEMU waits so
 * for disk requests (a drain, block-graph commands, qemu-io). That is no place between two turns:
 * nothing is done there but sleep, with signs of life, because a slow disk is no dead QEMU.
 */
#define _GNU_SOURCE
#include "real.h"
#include "shim.h"
#include "symbols.h"

enum {
    HELP_NS = 200 * 1000,
    CLONE_STEP_NS = 500 * 1000,
    WARP_STEP_NS = 2 * 1000 * 1000,
    /* A sleeping main loop shows signs of life this often, without a turn that the log would show.
     */
    BEAT_NS = 20 * 1000 * 1000,
};
#define FOR_EVER INT64_MAX

static int64_t to_ns(const struct timespec *t)
{
    if (t == NULL || t->tv_sec > INT32_MAX)
        return FOR_EVER;
    return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

static bool main_loop_takes_up(int kind)
{
    switch (kind) {
    case FTLOG_KIND_CLOCK_HOST:
    case FTLOG_KIND_CLOCK_VIRTUAL_RT:
    case FTLOG_KIND_CHECKPOINT_FIRST:     /* warp start */
    case FTLOG_KIND_CHECKPOINT_FIRST + 2: /* reset */
    case FTLOG_KIND_CHECKPOINT_FIRST + 3: /* suspend */
    case FTLOG_KIND_CHECKPOINT_FIRST + 5: /* host timers */
    case FTLOG_KIND_CHECKPOINT_FIRST + 6: /* virtual-rt timers */
        return true;
    default:
        return false;
    }
}

static bool main_loop_may_help(int kind)
{
    return (kind >= FTLOG_KIND_BH && kind <= FTLOG_KIND_NET) ||
           kind == FTLOG_KIND_CHECKPOINT_FIRST + 1 || /* warp account */
           kind == FTLOG_KIND_CHECKPOINT_FIRST + 4;   /* virtual timers */
}

static int64_t replay_limit(void)
{
    int kind = replay_current_kind();
    if (!replay_load_begun() || replay_waits_for_log())
        return FOR_EVER;
    if (main_loop_takes_up(kind))
        return 0;
    return main_loop_may_help(kind) ? HELP_NS : FOR_EVER;
}

/* Takes the ingress sockets out of the set, and puts them back. */
static void mask_ingress(struct pollfd *fds, nfds_t count, bool mask)
{
    for (nfds_t i = 0; i < count; i++) {
        if (mask && output_has(fds[i].fd))
            fds[i].fd = ~fds[i].fd; /* negative: ppoll skips it and sets revents to 0 */
        else if (!mask && fds[i].fd < 0)
            fds[i].fd = ~fds[i].fd;
    }
}

static int sleep_in_slices(struct pollfd *fds, nfds_t count, int64_t limit_ns,
                           const sigset_t *signals)
{
    for (;;) {
        int64_t slice_ns = limit_ns < BEAT_NS ? limit_ns : BEAT_NS;
        struct timespec slice = {0, slice_ns};
        int ready = real()->ppoll(fds, count, &slice, signals);
        control_beat();
        if (limit_ns != FOR_EVER)
            limit_ns -= slice_ns;
        if (ready != 0 || limit_ns == 0)
            return ready;
    }
}

/* The vCPU holds the replay lock while it runs guest code, until its next timer: without a kick a
 * packet for a busy guest waits that long for the main loop to get the lock. */
static void kick_vcpu(void)
{
    void *cpu = qemu.qemu_get_cpu(0);
    if (cpu != NULL)
        qemu.qemu_cpu_kick(cpu);
}

static int main_thread_poll(struct pollfd *fds, nfds_t count, int64_t limit_ns,
                            const sigset_t *signals)
{
    bool was_reset = reset_main_thread_turn();
    if (was_reset) {
        limit_ns = CLONE_STEP_NS < limit_ns ? CLONE_STEP_NS : limit_ns;
    } else if (shim_role() == ROLE_REPLAY) {
        int64_t cap = replay_limit();
        limit_ns = cap < limit_ns ? cap : limit_ns;
    } else if (clone_main_thread_turn()) {
        limit_ns = CLONE_STEP_NS < limit_ns ? CLONE_STEP_NS : limit_ns;
    } else if (events_deliver()) {
        limit_ns = 0; /* what was run may have set timers */
    } else if (warp_main_thread_turn()) {
        limit_ns = WARP_STEP_NS < limit_ns ? WARP_STEP_NS : limit_ns;
    }
    bool hold = clone_holds_ingress();
    if (hold)
        mask_ingress(fds, count, true);
    int ready = sleep_in_slices(fds, count, limit_ns, signals);
    if (hold)
        mask_ingress(fds, count, false);
    if (ready > 0 && shim_role() == ROLE_RECORD)
        kick_vcpu();
    return ready;
}

static bool is_between_turns(void)
{
    return !qemu.replay_mutex_locked() && !qemu.bql_locked();
}

static int poll_through(struct pollfd *fds, nfds_t count, const struct timespec *limit,
                        const sigset_t *signals)
{
    if (!shim_in_main_thread || shim_role() == ROLE_INERT)
        return real()->ppoll(fds, count, limit, signals);
    if (!is_between_turns())
        return sleep_in_slices(fds, count, to_ns(limit), signals);
    return main_thread_poll(fds, count, to_ns(limit), signals);
}

SHIM_EXPORT int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *limit,
                      const sigset_t *signals)
{
    return poll_through(fds, count, limit, signals);
}

/* What a fortified build calls instead. */
SHIM_EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *limit,
                            const sigset_t *signals, size_t fds_bytes);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *limit,
                const sigset_t *signals, size_t fds_bytes)
{
    (void)fds_bytes;
    return poll_through(fds, count, limit, signals);
}
