/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reset.c - a reset of the machine is an event of the log like any other.
 *
 * QEMU's own main loop logs a checkpoint when it finds that a reset was asked for, stops the vCPU
 * and resets the machine. That can't work here, for three reasons:
 * - a device that is reset may have something run on the vCPU's thread, and waits for it (the
 *   APIC's helper does). That thread, just stopped, first waits for the replay lock, which the
 *   main thread holds for as long as the reset takes: both wait for ever;
 * - after the checkpoint and before the reset the locks are given up, and what the vCPU thread logs
 *   meanwhile is taken up in replay before or after the reset, as chance will have it;
 * - only a guest can ask for it: nothing in a replaying QEMU knows of a monitor's wish.
 *
 * So the request is only noted here, and the reset is done by the main thread between two turns of
 * its loop, under both locks. Recording: the vCPU is stopped, which logs all that it has done;
 * then the checkpoint is logged, and the machine is reset with no lock given up. Replaying: the
 * checkpoint is what asks for the reset, whoever asked for it when it was recorded. The guest's own
 * request does not stop the vCPU there: how far it may run the log says.
 *
 * A request that is not logged yet is in no clone and no log: a clone point waits for it (clone.c),
 * and a backup that goes live in between has noted its guest's own.
 */
#include "hook.h"
#include "shim.h"
#include "symbols.h"

enum {
    CHECKPOINT_RESET_REQUESTED = 2,
    KIND_RESET_REQUESTED = FTLOG_KIND_CHECKPOINT_FIRST + CHECKPOINT_RESET_REQUESTED,
    /* qapi/run-state.json: ShutdownCause, the first that is the guest's own; RebootAction */
    CAUSE_GUEST_SHUTDOWN = 6,
    CAUSE_GUEST_RESET = 7,
    REBOOT_ACTION_SHUTDOWN = 1,
};

static _Atomic int asked_cause; /* 0: nobody has asked */

bool reset_is_due(void)
{
    return shim_role() == ROLE_RECORD &&
           atomic_load_explicit(&asked_cause, memory_order_relaxed) != 0;
}

/* QEMU's qemu_system_reset_request: in the vCPU thread, or in the main thread; replay lock held. */
static void request(int cause)
{
    bool replays = shim_role() == ROLE_REPLAY;
    if (replays && cause < CAUSE_GUEST_SHUTDOWN) {
        shim_note("a reset from outside is not done while replaying");
        return;
    }
    if (!replays && *qemu.reboot_action == REBOOT_ACTION_SHUTDOWN) {
        qemu.qemu_system_shutdown_request(cause); /* which is logged */
        return;
    }
    atomic_store(&asked_cause, cause);
    if (!replays)
        qemu.cpu_stop_current();
    qemu.qemu_notify_event();
}

static void run_here(void *cpu, qemu_cpu_work work, uint64_t data)
{
    work(cpu, data);
}

static struct hook run_on_cpu_hook = {.replacement = (void (*)(void))run_here,
                                      .name = "run_on_cpu"};

/* The vCPU is stopped, and its thread neither runs guest code nor can take a lock. */
static void reset_machine(int cause)
{
    hook_set(&run_on_cpu_hook);
    qemu.qemu_system_reset(cause);
    hook_lift(&run_on_cpu_hook);
    warp_machine_reset();
    atomic_store(&asked_cause, 0);
}

void reset_now(void)
{
    int cause = atomic_load(&asked_cause);
    if (qemu.replay_checkpoint(CHECKPOINT_RESET_REQUESTED))
        reset_machine(cause == 0 ? CAUSE_GUEST_RESET : cause);
    qemu.resume_all_vcpus(); /* when the machine is to run */
}

static bool reset_is_next(void)
{
    return replay_load_begun() && !replay_waits_for_log() &&
           replay_current_kind() == KIND_RESET_REQUESTED;
}

/* Requests to disks are completed by the main loop: a reset that waited for one would wait for
 * ever.
 */
static bool disks_are_quiet(void)
{
    qemu.replay_save_events();
    return blocks_all_completed();
}

static void reset_when_quiet(void)
{
    shim_lock_both();
    if (*qemu.reboot_action == REBOOT_ACTION_SHUTDOWN) { /* asked for before this side went live */
        qemu.qemu_system_shutdown_request(atomic_exchange(&asked_cause, 0));
    } else {
        qemu.pause_all_vcpus();
        if (disks_are_quiet())
            reset_now();
    }
    shim_unlock_both();
}

bool reset_main_thread_turn(void)
{
    if (reset_is_due()) {
        reset_when_quiet();
        return true;
    }
    if (shim_role() != ROLE_REPLAY || !reset_is_next())
        return false;
    shim_lock_both();
    if (qemu.replay_next_event_is(KIND_RESET_REQUESTED)) {
        qemu.pause_all_vcpus();
        reset_now();
    }
    shim_unlock_both();
    return true;
}

void reset_install(void)
{
    run_on_cpu_hook.target = (void *)qemu.run_on_cpu;
    hook_replace((void *)qemu.qemu_system_reset_request, (void (*)(void))request,
                 "qemu_system_reset_request");
}
