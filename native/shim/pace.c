/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pace.c - takes time away from the vCPU, a little at a time.
 *
 * The vCPU thread passes icount_handle_deadline once per turn, every few milliseconds at most. When
 * time is owed there, a work item is queued for the vCPU; QEMU's loop then runs no guest code but
 * the item, without the replay lock, and looks at stop requests before it does so. The item gives
 * up the BQL and sleeps. So the main loop (monitor, disks, clone) goes on, vm_stop waits for one
 * step at most, and nothing of it reaches the log but the turn itself, which is like any other.
 */
#include <time.h>

#include "hook.h"
#include "shim.h"
#include "symbols.h"

enum {
    CLOCK_VIRTUAL = 1,
    TIMER_ATTRIBUTES_ALL = -1,
    PERMILLE = 1000,
    STEP_US_MAX = 2000,
    STEP_US_MIN = 100,     /* less is saved up: a sleep has its own cost */
    DEBT_US_MAX = 100000,  /* what was not taken by then is forgiven */
    RUN_US_COUNTED = 20000 /* a longer turn was an idle vCPU, not a busy one */
};

static struct {
    _Atomic bool held;     /* by the watchdog */
    uint64_t last_turn_ns; /* vCPU thread only, like the rest */
    uint64_t debt_us;
} pace;

void pace_hold(bool held)
{
    atomic_store(&pace.held, held);
}

static uint32_t permille(void)
{
    if (shim_role() != ROLE_RECORD)
        return 0;
    if (atomic_load_explicit(&pace.held, memory_order_relaxed))
        return PERMILLE;
    uint32_t wanted = ring_load32(&shim_control()->pace_permille);
    return wanted < PERMILLE ? wanted : PERMILLE;
}

/* How long to sleep now: run and sleep are to be as 1000 - p is to p. */
static uint64_t step_us(uint32_t p, uint64_t now_ns)
{
    if (p == PERMILLE)
        return STEP_US_MAX;
    uint64_t ran_us = (now_ns - pace.last_turn_ns) / 1000;
    if (ran_us < RUN_US_COUNTED)
        pace.debt_us += ran_us * p / (PERMILLE - p);
    if (pace.debt_us > DEBT_US_MAX)
        pace.debt_us = DEBT_US_MAX;
    if (pace.debt_us < STEP_US_MIN)
        return 0;
    uint64_t step = pace.debt_us < STEP_US_MAX ? pace.debt_us : STEP_US_MAX;
    pace.debt_us -= step;
    return step;
}

static void sleep_without_bql(void *cpu, uint64_t us)
{
    (void)cpu;
    struct timespec step = {0, (long)us * 1000};
    qemu.bql_unlock();
    nanosleep(&step, NULL); /* cut short by a signal: the next turn takes the rest */
    qemu.bql_lock_impl(__FILE__, __LINE__);
    pace.last_turn_ns = monotonic_ns();
}

static uint64_t paced_us(void)
{
    uint32_t p = permille();
    if (p == 0) {
        pace.debt_us = 0;
        pace.last_turn_ns = 0;
        return 0;
    }
    uint64_t now_ns = monotonic_ns();
    if (pace.last_turn_ns == 0)
        pace.last_turn_ns = now_ns;
    uint64_t us = step_us(p, now_ns);
    pace.last_turn_ns = now_ns;
    return us;
}

/* A guest whose clock runs ahead of real time waits for it. */
static uint64_t ahead_us(void)
{
    uint64_t us = shim_role() == ROLE_RECORD ? warp_ahead_us() : 0;
    return us < STEP_US_MAX ? us : STEP_US_MAX;
}

static void take_time(void)
{
    uint64_t paced = paced_us(), ahead = ahead_us();
    uint64_t us = paced > ahead ? paced : ahead;
    if (us > 0)
        qemu.async_run_on_cpu(qemu.qemu_get_cpu(0), sleep_without_bql, us);
}

/* What QEMU's own icount_handle_deadline does, in between the guest's clock and the pace. Both
 * locks are held. */
static void handle_deadline(void)
{
    warp_account();
    if (qemu.qemu_clock_deadline_ns_all(CLOCK_VIRTUAL, TIMER_ATTRIBUTES_ALL) == 0) {
        qemu.qemu_clock_notify(CLOCK_VIRTUAL);
        qemu.qemu_clock_run_timers(CLOCK_VIRTUAL);
    }
    take_time();
}

void pace_install(void)
{
    hook_replace((void *)qemu.icount_handle_deadline, (void (*)(void))handle_deadline,
                 "icount_handle_deadline");
}
