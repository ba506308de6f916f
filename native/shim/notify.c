/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * notify.c - QEMU's qemu_clock_notify, replaced for speed.
 *
 * Replaying, the vCPU has no instructions to run when the next event is an exception or an
 * interrupt; QEMU's icount code then takes it for a missed timer and notifies all timer lists,
 * which wakes the main loop (an eventfd, a poll, two turns of the replay lock) although no timer
 * may run before the vCPU has taken up its own event. That notification is left out.
 *
 * QEMU keeps the lists private. They are walked from the main loop's own list, whose place in its
 * clock's chain is checked first.
 */
#include <string.h>

#include "hook.h"
#include "shim.h"
#include "symbols.h"
#include "version.h"

enum { CLOCK_VIRTUAL = 1, LISTS_MAX = 256 };

static void *pointer_at(const void *base, uint32_t offset)
{
    void *value;
    memcpy(&value, (const uint8_t *)base + offset, sizeof(value));
    return value;
}

static void *clock_of(int type)
{
    return pointer_at(qemu.main_loop_tlg[type], release->list_clock);
}

static bool is_vcpus_own(int kind)
{
    return kind == FTLOG_KIND_INTERRUPT || kind == FTLOG_KIND_EXCEPTION;
}

static void notify_lists(int type)
{
    void *list = pointer_at(clock_of(type), release->clock_lists);
    while (list != NULL) {
        qemu.timerlist_notify(list);
        list = pointer_at(list, release->list_next);
    }
}

static void clock_notify(int type)
{
    if (type == CLOCK_VIRTUAL && shim_role() == ROLE_REPLAY && replay_load_begun() &&
        is_vcpus_own(replay_current_kind()) && qemu.qemu_in_vcpu_thread())
        return;
    notify_lists(type);
}

static bool chain_holds(int type)
{
    void *clock = clock_of(type), *wanted = qemu.main_loop_tlg[type];
    void *list = pointer_at(clock, release->clock_lists);
    bool found = false;
    for (int i = 0; list != NULL && i < LISTS_MAX; i++) {
        if (clock_of(type) != pointer_at(list, release->list_clock))
            return false;
        found = found || list == wanted;
        list = pointer_at(list, release->list_next);
    }
    return found && list == NULL;
}

void notify_install(void)
{
    if (!chain_holds(CLOCK_VIRTUAL))
        shim_refuse(FTLOG_ERR_HOOK, "QEMU's timer lists are not where this release has them");
    hook_replace((void *)qemu.qemu_clock_notify, (void (*)(void))clock_notify, "qemu_clock_notify");
}
