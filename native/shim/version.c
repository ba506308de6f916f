/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "version.h"

#include <stddef.h>
#include <stdio.h>

#include "shim.h"
#include "symbols.h"

const struct release *release;

/*
 * Within a stable series (10.0.x) neither log version nor structures change; 10.0.2 and 10.0.13
 * are tested. Another series needs its own row, read from its sources and tested, not a guess.
 */
static const struct release known[] = {
    {
        .major = 10,
        .minor = 0,
        .log_version = FTLOG_LOG_VERSION_10_0,
        .state_cached_clock = 0,
        .state_current_icount = 16,
        .state_instruction_count = 24,
        .state_data_kind = 32,
        .state_has_unread_data = 36,
        .state_block_request_id = 48,
        .state_read_event_id = 56,
        .timers_bias = 40,
        .timers_warp_start = 48,
        .timer_expire_time = 0,
        .timer_list = 8,
        .timer_callback = 16,
        .timer_opaque = 24,
        .timer_attributes = 40,
        .timer_scale = 44,
        .list_clock = 0,
        .list_next = 64,
        .clock_lists = 0,
        .env_eflags = 136,
        .env_hflags = 176,
        .rng_requests = 48,
        .rng_class_request = 96,
        .chardev_write_lock = 40,
        .chardev_log_fd = 112,
        .chardev_class_write = 120,
        .run_inmigrate = 1,
        .run_paused = 4,
        .run_running = 9,
        .run_suspended = 12,
    },
};

static const struct release *find(const struct qemu_version_triple *version)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i].major == version->major && known[i].minor == version->minor)
            return &known[i];
    }
    return NULL;
}

void version_check(void)
{
    struct ftlog_control *control = shim_control();
    struct qemu_version_info *info = qemu.qmp_query_version(NULL);
    char name[sizeof(control->qemu_version)];
    snprintf(name, sizeof(name), "%lld.%lld.%lld %s", (long long)info->qemu->major,
             (long long)info->qemu->minor, (long long)info->qemu->micro, info->package);
    release = find(info->qemu);
    qemu.qapi_free_VersionInfo(info);
    snprintf(control->qemu_version, sizeof(control->qemu_version), "%s", name);
    if (release == NULL)
        shim_refuse(FTLOG_ERR_QEMU_VERSION, "QEMU %s is not a release this shim knows (10.0.x)",
                    name);
    if (!ftlog_log_version_known(release->log_version))
        shim_refuse(FTLOG_ERR_LOG_VERSION, "log version 0x%x of QEMU %s is not known",
                    release->log_version, name);
    ring_store32(&control->log_version,
                 release->log_version | FTLOG_OWN_REVISION << FTLOG_OWN_REVISION_SHIFT);
}

uint8_t *version_state_field(uint32_t offset)
{
    return qemu.replay_state + offset;
}
