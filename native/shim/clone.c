/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * clone.c - brings the guest to rest at the moment at which a background-snapshot migration wants
 * to stop it.
 *
 * QEMU's migration thread populates RAM, stops the VM by vm_stop_force_state, saves the device
 * state, write-protects RAM and has the main loop start the VM again. Stopping alone is not
 * enough for a clone that replays the log:
 * - events that wait in QEMU's queue are in no log and not in the vmstate: they are flushed;
 * - a disk request under way would be lost on the clone: its completion is awaited;
 * - nothing may come in meanwhile: it would sit in queues that are not cloned. Ingress sockets are
 *   not read (poll.c): what arrives waits in the socket, and nothing is dropped. vm_stop itself
 *   empties the queues between NIC and netdev.
 * So vm_stop_force_state is replaced: the migration thread gives up the BQL and asks the main
 * thread, which does the work between two turns of its loop, under both locks and in their order.
 * The main thread then waits until the migration thread has the BQL again, so that its loop makes
 * no turn (and logs nothing) between rest and the saved state.
 *
 * The pause holds only: stop, flush, disks, device state, write protection.
 */
#include "hook.h"
#include "shim.h"

#include <semaphore.h>
#include <string.h>

#include "symbols.h"
#include "version.h"

enum phase {
    PHASE_IDLE = 0,
    PHASE_ASKED,   /* by the migration thread */
    PHASE_AT_REST, /* by the main thread: stopped, nothing under way */
    PHASE_FAILED,  /* by the main thread: not in time, the guest runs */
};

static struct {
    _Atomic int phase;
    sem_t answered;          /* main to migration */
    sem_t taken_over;        /* migration to main: has the BQL again */
    uint64_t asked_ns;       /* main thread only, like the rest */
    uint64_t stopped_ns;     /* 0: not stopped by us */
    int64_t left_out_ns;     /* by virtual-rt, before the stop */
    _Atomic bool vm_stopped; /* between our stop and the next start */
} clone;

static void set_state(enum ftlog_clone state)
{
    ring_store32(&shim_control()->clone_state, state);
    ring_notify_sidecar(&shim.ring);
}

/*
 * What QEMU keeps of the event it is about to replay. A VM that recorded from boot has none; one
 * that went live still has the made-up end of log, and its clone would believe in it.
 */
static void clear_replayed_event(void)
{
    uint32_t no_kind = UINT32_MAX;
    uint64_t no_id = UINT64_MAX;
    uint32_t no_instructions = 0;
    memcpy(version_state_field(release->state_data_kind), &no_kind, sizeof(no_kind));
    memcpy(version_state_field(release->state_instruction_count), &no_instructions,
           sizeof(no_instructions));
    memcpy(version_state_field(release->state_read_event_id), &no_id, sizeof(no_id));
    *version_state_field(release->state_has_unread_data) = 0;
}

/* Called with the BQL and the VM at rest. The order of the stores is part of the contract. */
static void publish_point(void)
{
    struct ftlog_control *control = shim_control();
    uint64_t lsn = record_position();
    ring_store64(&control->clone_lsn, lsn);
    ring_store64(&control->clone_frames, ring_load64(&control->net_frames));
    ring_store64(&control->reclaimed, lsn);
    ring_store32(&control->retain, 1);
    set_state(FTLOG_CLONE_POINT);
}

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) < 0)
        continue; /* interrupted by a signal */
}

static int rest_at_clone_point(void)
{
    struct ftlog_control *control = shim_control();
    __atomic_fetch_add(&control->clone_attempt, 1, __ATOMIC_RELEASE);
    set_state(FTLOG_CLONE_QUIESCING);
    atomic_store(&clone.phase, PHASE_ASKED);
    qemu.bql_unlock();
    qemu.qemu_notify_event();
    wait_for(&clone.answered);
    qemu.bql_lock_impl(__FILE__, __LINE__);
    bool at_rest = atomic_load(&clone.phase) == PHASE_AT_REST;
    if (at_rest) {
        clear_replayed_event();
        publish_point();
    } else {
        set_state(FTLOG_CLONE_FAILED);
    }
    atomic_store(&clone.phase, PHASE_IDLE);
    sem_post(&clone.taken_over);
    return at_rest ? 0 : -1;
}

/* What QEMU's own vm_stop_force_state does. */
static int stop_force_state(int state)
{
    if (qemu.runstate_check(release->run_running) || qemu.runstate_check(release->run_suspended))
        return qemu.vm_stop(state);
    qemu.runstate_set(state);
    qemu.bdrv_drain_all();
    return qemu.bdrv_flush_all();
}

static int replaced_stop_force_state(int state)
{
    bool is_clone =
        shim_role() == ROLE_RECORD && !shim_in_main_thread && qemu.migrate_background_snapshot();
    return is_clone ? rest_at_clone_point() : stop_force_state(state);
}

static bool try_to_rest(void)
{
    shim_lock_both();
    if (qemu.runstate_is_running()) {
        qemu.replay_save_events();
        qemu.icount_account_warp_timer();
        clone.stopped_ns = monotonic_ns();
        clone.left_out_ns = clock_left_out_ns();
        atomic_store(&clone.vm_stopped, true);
        qemu.vm_stop(release->run_paused);
    }
    qemu.replay_save_events();
    if (reset_is_due() && blocks_all_completed())
        reset_now(); /* asked for as the guest was stopped: the clone would not know of it */
    bool at_rest = !reset_is_due() && !qemu.replay_has_events() && blocks_all_completed();
    shim_unlock_both();
    return at_rest;
}

static void start_again(void)
{
    shim_lock_both();
    if (!qemu.runstate_is_running())
        qemu.vm_start();
    shim_unlock_both();
}

static void answer(enum phase phase)
{
    clone.asked_ns = 0;
    atomic_store(&clone.phase, phase);
    sem_post(&clone.answered);
    wait_for(&clone.taken_over);
}

static bool too_late(void)
{
    uint64_t limit_ns = (uint64_t)shim_control()->quiesce_ms_max * 1000000u;
    return monotonic_ns() - clone.asked_ns > limit_ns;
}

/* True while it has to be tried again. */
static bool work_on_rest(void)
{
    if (clone.asked_ns == 0)
        clone.asked_ns = monotonic_ns();
    if (try_to_rest()) {
        answer(PHASE_AT_REST);
        return false;
    }
    if (!too_late())
        return true;
    shim_note("the guest did not come to rest within %u ms", shim_control()->quiesce_ms_max);
    start_again();
    answer(PHASE_FAILED);
    return false;
}

/* The guest's clock goes on over it. */
static void put_in_pause(void)
{
    shim_lock_both();
    clock_put_in(clock_left_out_ns() - clone.left_out_ns);
    shim_unlock_both();
}

/* After the point: the migration has the VM started again, or failed after the stop and has not. */
static void watch_for_start(void)
{
    if (qemu.runstate_is_running()) {
        uint64_t us = (monotonic_ns() - clone.stopped_ns) / 1000;
        ring_store64(&shim_control()->clone_pause_us, us);
        put_in_pause();
        atomic_store(&clone.vm_stopped, false);
    } else if (!qemu.migration_is_running()) {
        shim_note("the migration failed with the guest stopped: started again");
        start_again();
    }
}

bool clone_main_thread_turn(void)
{
    if (atomic_load_explicit(&clone.phase, memory_order_acquire) == PHASE_ASKED && work_on_rest())
        return true;
    if (!atomic_load_explicit(&clone.vm_stopped, memory_order_relaxed))
        return false;
    watch_for_start();
    return true;
}

bool clone_holds_ingress(void)
{
    return shim_role() != ROLE_RECORD ||
           atomic_load_explicit(&clone.phase, memory_order_acquire) != PHASE_IDLE ||
           !qemu.runstate_is_running();
}

void clone_install(void)
{
    sem_init(&clone.answered, 0, 0);
    sem_init(&clone.taken_over, 0, 0);
    hook_replace((void *)qemu.vm_stop_force_state, (void (*)(void))replaced_stop_force_state,
                 "vm_stop_force_state");
}
