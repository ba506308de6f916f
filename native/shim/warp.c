/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * warp.c - the guest's clock keeps real time.
 *
 * QEMU's instruction clock gives the guest 2 ns for each instruction, and the time that its vCPU
 * was idle ("warp"). A busy vCPU makes a fourth of the 500 million instructions a second that this
 * would take, so the guest's clock fell behind whenever the guest did something.
 *
 * So at each turn of the vCPU's thread, right after QEMU has accounted what was idle, the guest's
 * clock is set forward to real time, in one small step. When and how far is a decision of the
 * recording side's: it is an event of its own in the log, behind the checkpoint "warp account" (and
 * the clock that QEMU may read there). QEMU never sees that event: replaying, it is noted when QEMU
 * fetches what comes behind it, and done at the same place in the turn, before anybody looks at the
 * clock again.
 *
 * - Turns are kept short, so that steps are small: a turn could last until the guest's next timer.
 * - A guest that was kept from running (a starved host, a held vCPU) catches up at a bounded
 *   speed, in small steps too, and only while it runs or is idle. A leap would deceive a kernel
 * that boots: Linux takes its TSC's frequency from 10 ms of the PIT, and sees a leap that falls
 *   inside, but not one at the very end. With less than half of them in a step another falls
 * inside.
 * - Each step may bring the guest a tick, which costs it some ten thousand instructions. On a host
 * so slow that small steps are not enough, a guest would do nothing else: once it has booted, they
 *   are larger there, with more instructions in between.
 * - An idle vCPU makes no turns: the main thread does the same for it, when there is something
 * left.
 * - A host on which the instruction clock runs ahead of real time has its vCPU held (pace.c).
 */
#include <string.h>

#include "hook.h"
#include "shim.h"
#include "symbols.h"
#include "version.h"

enum {
    CLOCK_VIRTUAL = 1,
    TIMER_ATTRIBUTES_ALL = -1,
    US = 1000,
    MS = 1000 * US,
    TURN_INSTRUCTIONS = 250000,    /* about two milliseconds of a busy vCPU */
    CATCH_UP_INSTRUCTIONS = 50000, /* the same while a small step was not enough */
    STEP_NS_MIN = MS,              /* less is left for later: a step is an event of the log */
    STEP_NS_MAX = 4 * MS,
    IDLE_STEP_NS_MAX = 20 * MS,
    LARGE_STEP_NS_MAX = 250 * MS,
    FAR_BEHIND_NS = 500 * MS,    /* on a host so slow that steps must be large */
    IDLE_BEHIND_NS_MIN = 5 * MS, /* less waits for the idle guest's next turn */
    AHEAD_NS_MIN = 5 * MS,       /* less is nothing to wait for */
    CATCH_UP = 4, /* steps are at most so many times the real time since the last one */
};
/* Guest time in which a machine that was just started or reset may be measuring its clocks. */
static const int64_t BOOT_NS = 20000 * (int64_t)MS;

static struct {
    bool noted; /* a step of the log that is yet to be done */
    int64_t noted_guest_ns;
    int64_t last_real_ns; /* at the last step */
    int64_t last_icount;
    int64_t left_ns;  /* how far behind it left the guest */
    int64_t reset_ns; /* guest time when the machine was last reset */
} warp;

static int64_t field(uint32_t offset)
{
    int64_t value;
    memcpy(&value, qemu.timers_state + offset, sizeof(value));
    return value;
}

/* The lock of QEMU's clocks need not be taken: whoever else writes this field holds the BQL, as we
 * do, and who reads it finds it before or after. */
static void add_to_guest_time(int64_t ns)
{
    __atomic_fetch_add((int64_t *)(void *)(qemu.timers_state + release->timers_bias), ns,
                       __ATOMIC_SEQ_CST);
}

static void set_guest_time(int64_t ns)
{
    int64_t now = qemu.icount_get();
    if (ns < now)
        shim_halt(FTLOG_ERR_EVENT_FIELD, shim_log_position(),
                  "guest time would go back from %lld to %lld", (long long)now, (long long)ns);
    add_to_guest_time(ns - now);
    if (qemu.icount_get() != ns)
        shim_halt(FTLOG_ERR_HOOK, shim_log_position(),
                  "QEMU's instruction clock is not where this release has it");
}

static int64_t big_endian(int64_t value)
{
    return (int64_t)__builtin_bswap64((uint64_t)value);
}

static void log_step(int64_t guest_ns, int64_t real_ns)
{
    int64_t fields[2] = {big_endian(guest_ns), big_endian(real_ns)};
    uint8_t event[1 + sizeof(fields)] = {FTLOG_KIND_WARP};
    memcpy(event + 1, fields, sizeof(fields));
    record_append(event, sizeof(event));
}

void warp_noted(const uint8_t *event)
{
    int64_t fields[2];
    memcpy(fields, event + 1, sizeof(fields));
    warp.noted = true;
    warp.noted_guest_ns = big_endian(fields[0]);
    warp.last_real_ns = big_endian(fields[1]);
    clock_seen(FTLOG_KIND_CLOCK_VIRTUAL_RT - FTLOG_KIND_CLOCK_HOST, warp.last_real_ns);
}

static int64_t at_most(int64_t value, int64_t limit)
{
    return value < limit ? value : limit;
}

static bool needs_large_steps(int64_t behind_ns, int64_t guest_ns)
{
    return behind_ns > FAR_BEHIND_NS && guest_ns - warp.reset_ns > BOOT_NS;
}

static int64_t step_limit(int64_t behind_ns, int64_t guest_ns, bool idle)
{
    if (needs_large_steps(behind_ns, guest_ns))
        return LARGE_STEP_NS_MAX;
    return idle ? IDLE_STEP_NS_MAX : STEP_NS_MAX;
}

/* `since_ns`: since the last step. 0: not worth an event of the log yet. */
static int64_t step_ns(int64_t behind_ns, int64_t since_ns, int64_t limit)
{
    int64_t step = at_most(behind_ns, at_most(limit, at_most(since_ns, limit) * CATCH_UP));
    return step < STEP_NS_MIN ? 0 : step;
}

/* Recording: right behind the checkpoint, with both locks. */
static void keep_up(void)
{
    bool idle = qemu.all_cpu_threads_idle();
    int64_t guest_ns = qemu.icount_get(), icount = qemu.icount_get_raw();
    int64_t real_ns = clock_real_ns(), behind_ns = real_ns - guest_ns;
    bool held = !idle && icount == warp.last_icount;
    int64_t limit = held ? 0 : step_limit(behind_ns, guest_ns, idle);
    int64_t step = step_ns(behind_ns, real_ns - warp.last_real_ns, limit);
    warp.left_ns = behind_ns - step;
    if (step == 0)
        return;
    log_step(guest_ns + step, real_ns);
    set_guest_time(guest_ns + step);
    warp.last_real_ns = real_ns;
    warp.last_icount = icount;
}

void warp_machine_reset(void)
{
    warp.reset_ns = qemu.icount_get();
}

void warp_account(void)
{
    if (warp.noted) /* also when this side went live right behind it */
        set_guest_time(warp.noted_guest_ns);
    else if (shim_role() == ROLE_RECORD && qemu.runstate_is_running())
        keep_up();
    warp.noted = false;
}

/* An idle vCPU's clock has what it had when it became idle; the time since is QEMU's to account.
 * Read without a lock: it is looked at again with both. */
static bool idle_guest_is_behind(void)
{
    int64_t idle_since_ns = field(release->timers_warp_start);
    return idle_since_ns != -1 && idle_since_ns - qemu.icount_get() > IDLE_BEHIND_NS_MIN;
}

bool warp_main_thread_turn(void)
{
    if (shim_role() != ROLE_RECORD || !qemu.runstate_is_running() || !idle_guest_is_behind())
        return false;
    shim_lock_both();
    qemu.icount_account_warp_timer();
    warp_account();
    if (qemu.qemu_clock_deadline_ns_all(CLOCK_VIRTUAL, TIMER_ATTRIBUTES_ALL) == 0)
        qemu.qemu_clock_notify(CLOCK_VIRTUAL);
    shim_unlock_both();
    return true;
}

uint64_t warp_ahead_us(void)
{
    int64_t ahead_ns = qemu.icount_get() - clock_real_ns();
    return ahead_ns < AHEAD_NS_MIN ? 0 : (uint64_t)ahead_ns / US;
}

static int64_t turn_instructions(void)
{
    bool more = warp.left_ns >= STEP_NS_MIN;
    return more && !needs_large_steps(warp.left_ns, qemu.icount_get()) ? CATCH_UP_INSTRUCTIONS
                                                                       : TURN_INSTRUCTIONS;
}

/* QEMU's icount_percpu_budget: QEMU itself sees to it that a turn ends at the next timer, or where
 * the log has the next event. Looking at that event here also has a shutdown done, as QEMU's own.
 */
static int64_t turn_budget(int cpus)
{
    (void)cpus;
    if (shim_role() == ROLE_RECORD)
        return turn_instructions();
    (void)qemu.replay_next_event_is(FTLOG_KIND_INSTRUCTIONS);
    return INT32_MAX;
}

void warp_install(void)
{
    hook_replace((void *)qemu.icount_percpu_budget, (void (*)(void))turn_budget,
                 "icount_percpu_budget");
}
