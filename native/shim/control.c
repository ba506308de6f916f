/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control.c - one thread beside QEMU's own: obeys `kill`, holds the guest while the sidecar's beat
 * stands still, and ends a backup that its sidecar has left. It polls: were it to sleep on the
 * futex, every piece of log would wake it.
 */
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "shim.h"
#include "symbols.h"

enum { TICK_MS = 2, ABANDONED_MS = 10000 };

static struct {
    uint64_t beat;
    uint64_t beat_ns; /* when it last moved */
    uint64_t held_ns; /* since when the guest is held; 0: it is not */
} watch;

void control_beat(void)
{
    struct ftlog_control *control = shim_control();
    __atomic_fetch_add(&control->qemu_beat, 1, __ATOMIC_RELAXED);
}

static bool produces(void)
{
    uint32_t state = ring_load32(&shim_control()->state);
    return state == FTLOG_STATE_RECORDING || state == FTLOG_STATE_LIVE;
}

static void hold(uint64_t now_ns)
{
    void *cpu = qemu.qemu_get_cpu(0);
    if (watch.held_ns == 0)
        watch.held_ns = now_ns;
    pace_hold(true);
    if (cpu != NULL)
        qemu.qemu_cpu_kick(cpu); /* a busy guest may be in a long turn */
}

static void release_hold(uint64_t now_ns)
{
    uint64_t ms = (now_ns - watch.held_ns) / 1000000u;
    __atomic_fetch_add(&shim_control()->held_ms, ms, __ATOMIC_RELAXED);
    watch.held_ns = 0;
    pace_hold(false);
    shim_note("guest held for %llu ms: the sidecar's beat stood still", (unsigned long long)ms);
}

static void watch_beat(uint64_t now_ns)
{
    struct ftlog_control *control = shim_control();
    uint64_t beat = ring_load64(&control->sidecar_beat);
    uint64_t limit_ns = (uint64_t)control->beat_timeout_ms * 1000000u;
    if (beat != watch.beat || limit_ns == 0 || !produces()) {
        watch.beat = beat;
        watch.beat_ns = now_ns;
        if (watch.held_ns != 0)
            release_hold(now_ns);
    } else if (now_ns - watch.beat_ns > limit_ns) {
        hold(now_ns);
    }
}

/*
 * Replay without a sidecar waits for ever, in the middle of an event and with QEMU's locks: it
 * hears neither SIGTERM nor its monitor, so that nobody else ends it in an orderly way, and its
 * memory is missed. Counted in ticks of this thread, not by the clock: where the whole host stood
 * still, the sidecar has its time as well.
 */
bool control_abandoned(uint64_t beat, bool waits)
{
    static uint64_t last, ticks;
    if (!waits || beat != last)
        ticks = 0;
    last = beat;
    return ++ticks > ABANDONED_MS / TICK_MS;
}

static void leave_if_abandoned(void)
{
    struct ftlog_control *control = shim_control();
    bool waits = control->beat_timeout_ms != 0 && !produces();
    if (!control_abandoned(ring_load64(&control->sidecar_beat), waits))
        return;
    shim_note("this backup ends: its sidecar has given no sign for %d ms", ABANDONED_MS);
    kill(getpid(), SIGKILL);
}

static void *control_loop(void *unused)
{
    struct timespec tick = {0, TICK_MS * 1000000L};
    struct ftlog_control *control = shim_control();
    for (;;) {
        uint64_t now_ns = monotonic_ns();
        if (ring_load32(&control->kill) != 0)
            kill(getpid(), SIGKILL);
        watch_beat(now_ns);
        leave_if_abandoned();
        if (!produces())
            arrival_look();
        ring_store64(&control->icount, qemu.replay_get_current_icount());
        nanosleep(&tick, NULL);
    }
    return unused;
}

void control_start(void)
{
    pthread_t thread;
    sigset_t all, before;
    watch.beat_ns = monotonic_ns();
    /* QEMU's signals are for QEMU's threads. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread, NULL, control_loop, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        shim_refuse(FTLOG_ERR_HOOK, "can't start the control thread: error %d", error);
    pthread_detach(thread);
}
