/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * timer.c - timers that only a clone has.
 *
 * A device that arms a timer of the guest's clock while its state is loaded (virtio-serial does)
 * has one timer more than the same device on the source. When it expires, QEMU wants a checkpoint
 * from the log that the source never wrote, and replay stops for ever. Marked EXTERNAL, a timer
 * runs without one, and does not count when guest time is warped.
 */
#include <string.h>

#include "hook.h"
#include "shim.h"
#include "symbols.h"
#include "version.h"

enum { CLOCK_VIRTUAL = 1, ATTRIBUTE_EXTERNAL = 1 };

static bool loading(void)
{
    return shim_role() == ROLE_REPLAY && replay_load_begun() &&
           qemu.runstate_check(release->run_inmigrate);
}

static void put(uint8_t *timer, uint32_t offset, const void *value, size_t bytes)
{
    memcpy(timer + offset, value, bytes);
}

static void init_full(void *timer, void *group, int clock, int scale, int attributes,
                      void *callback, void *opaque)
{
    /* A group begins with its timer lists, one per clock. */
    void **lists = group != NULL ? group : (void **)qemu.main_loop_tlg;
    int64_t never = -1;
    if (clock == CLOCK_VIRTUAL && loading())
        attributes |= ATTRIBUTE_EXTERNAL;
    put(timer, release->timer_list, &lists[clock], sizeof(void *));
    put(timer, release->timer_callback, &callback, sizeof(void *));
    put(timer, release->timer_opaque, &opaque, sizeof(void *));
    put(timer, release->timer_scale, &scale, sizeof(scale));
    put(timer, release->timer_attributes, &attributes, sizeof(attributes));
    put(timer, release->timer_expire_time, &never, sizeof(never));
}

void timer_install(void)
{
    hook_replace((void *)qemu.timer_init_full, (void (*)(void))init_full, "timer_init_full");
}
