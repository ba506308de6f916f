/* SPDX-License-Identifier: GPL-2.0-or-later */
/* version.h - QEMU releases the shim knows, and where in their structures things are. */
#ifndef LOCKSTEP_SHIM_VERSION_H
#define LOCKSTEP_SHIM_VERSION_H

#include <stdint.h>

struct release {
    int64_t major, minor;
    uint32_t log_version;
    /* struct ReplayState (replay/replay-internal.h), offsets in bytes */
    uint32_t state_cached_clock; /* int64_t[2]: host, virtual-rt */
    uint32_t state_current_icount;
    uint32_t state_instruction_count;
    uint32_t state_data_kind;
    uint32_t state_has_unread_data;
    uint32_t state_block_request_id;
    uint32_t state_read_event_id;
    /* struct TimersState (include/system/cpu-timers-internal.h) */
    uint32_t timers_bias;
    uint32_t timers_warp_start;
    /* struct QEMUTimer (include/qemu/timer.h) */
    uint32_t timer_expire_time;
    uint32_t timer_list;
    uint32_t timer_callback;
    uint32_t timer_opaque;
    uint32_t timer_attributes;
    uint32_t timer_scale;
    /* struct QEMUTimerList and struct QEMUClock (util/qemu-timer.c) */
    uint32_t list_clock;
    uint32_t list_next;
    uint32_t clock_lists;
    /* struct CPUArchState (target/i386/cpu.h) */
    uint32_t env_eflags;
    uint32_t env_hflags;
    /* struct RngBackend and struct RngBackendClass (include/system/rng.h) */
    uint32_t rng_requests;
    uint32_t rng_class_request;
    /* struct Chardev and struct ChardevClass (include/chardev/char.h) */
    uint32_t chardev_write_lock;
    uint32_t chardev_log_fd;
    uint32_t chardev_class_write;
    /* enum RunState (qapi/run-state.json) */
    int run_inmigrate;
    int run_paused;
    int run_running;
    int run_suspended;
};

/* The running QEMU's row; set by version_check. */
extern const struct release *release;

/* Asks QEMU for its version, publishes it in the ring, and refuses by name what is not known. */
void version_check(void);

/* Access to ReplayState by offset; caller holds what QEMU holds for the field. */
uint8_t *version_state_field(uint32_t offset);

#endif
