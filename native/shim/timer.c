/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * timer.c - timers of the guest's clock that a clone has and its source has not, or the other way
 * round. When one expires on one side only, that side wants a checkpoint that is not in the log, or
 * has none to take up, and replay stops for ever. Marked EXTERNAL, a timer runs without a
 * checkpoint, and does not count when guest time is warped.
 *
 * - A device that arms a timer while its state is loaded (virtio-serial does) has one more than the
 *   same device on the source.
 * - virtio-rng gives the guest a new allowance of random bytes every 65.536 s, by a timer that is
 *   not part of its state: a clone's runs from its own start. An allowance without limit, which is
 *   QEMU's default, needs no renewal, so the timer does nothing; a limited one is refused.
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

static int visit_rng(void *object, void *wanted)
{
    return object == wanted && strcmp(qemu.object_get_typename(object), "virtio-rng-device") == 0;
}

/* Any pointer: it is only compared. Devices are made by the main thread. */
static bool is_rng(void *opaque)
{
    return shim_in_main_thread && opaque != NULL &&
           qemu.object_child_foreach_recursive(qemu.object_get_root(), visit_rng, opaque) != 0;
}

static void do_nothing(void *opaque)
{
    (void)opaque;
}

static void refuse_limit(void *rng)
{
    if (qemu.object_property_get_uint(rng, "max-bytes", NULL) != INT64_MAX)
        shim_refuse(FTLOG_ERR_HOOK, "virtio-rng with max-bytes can't be replayed on a clone: "
                                    "leave its rate limit out");
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
    if (clock == CLOCK_VIRTUAL && is_rng(opaque)) {
        refuse_limit(opaque);
        attributes |= ATTRIBUTE_EXTERNAL;
        callback = (void *)do_nothing;
    }
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
