/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * symbols.h - what the shim uses of QEMU: functions and variables that distribution builds export
 * for their loadable modules. Types are restated as far as they are used; opaque otherwise.
 */
#ifndef LOCKSTEP_SHIM_SYMBOLS_H
#define LOCKSTEP_SHIM_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* QEMU's run_on_cpu_data is a union of eight bytes, passed like an integer. */
typedef void (*qemu_cpu_work)(void *cpu, uint64_t data);

/* qapi/misc.json: VersionInfo */
struct qemu_version_triple {
    int64_t major, minor, micro;
};
struct qemu_version_info {
    struct qemu_version_triple *qemu;
    char *package;
};

#define QEMU_FUNCTIONS(F)                                                                          \
    F(void, replay_mutex_lock, (void))                                                             \
    F(void, replay_mutex_unlock, (void))                                                           \
    F(bool, replay_mutex_locked, (void))                                                           \
    F(void, replay_save_events, (void))                                                            \
    F(bool, replay_has_events, (void))                                                             \
    F(void, replay_save_instructions, (void))                                                      \
    F(void, replay_advance_current_icount, (uint64_t icount))                                      \
    F(void, replay_finish_event, (void))                                                           \
    F(bool, replay_next_event_is, (int kind))                                                      \
    F(bool, replay_checkpoint, (int checkpoint))                                                   \
    F(void, replay_account_executed_instructions, (void))                                          \
    F(void, replay_char_write_event_save, (int result, int offset))                                \
    F(int, replay_read_random, (void *to, size_t count))                                           \
    F(void, replay_save_random, (int result, void *bytes, size_t count))                           \
    F(int, qemu_chr_fe_write, (void *backend, const uint8_t *bytes, int count))                    \
    F(int, qemu_chr_fe_write_all, (void *backend, const uint8_t *bytes, int count))                \
    F(int, qemu_chr_write, (void *device, const uint8_t *bytes, int count, bool all))              \
    F(void, qemu_mutex_lock_impl, (void *mutex, const char *file, int line))                       \
    F(void, qemu_mutex_unlock_impl, (void *mutex, const char *file, int line))                     \
    F(void, replay_register_char_driver, (void *device))                                           \
    F(void *, replay_register_net, (void *filter))                                                 \
    F(uint64_t, replay_get_current_icount, (void))                                                 \
    F(int64_t, replay_save_clock, (int kind, int64_t clock, int64_t icount))                       \
    F(void, bql_lock_impl, (const char *file, int line))                                           \
    F(bool, bql_locked, (void))                                                                    \
    F(void, bql_unlock, (void))                                                                    \
    F(bool, runstate_check, (int state))                                                           \
    F(int, runstate_get, (void))                                                                   \
    F(void, runstate_set, (int state))                                                             \
    F(bool, runstate_is_running, (void))                                                           \
    F(void, pause_all_vcpus, (void))                                                               \
    F(void, resume_all_vcpus, (void))                                                              \
    F(void, cpu_stop_current, (void))                                                              \
    F(void, qemu_system_reset, (int cause))                                                        \
    F(void, qemu_system_reset_request, (int cause))                                                \
    F(void, qemu_system_shutdown_request, (int cause))                                             \
    F(void, vm_start, (void))                                                                      \
    F(int, vm_stop, (int state))                                                                   \
    F(int, vm_stop_force_state, (int state))                                                       \
    F(void, bdrv_drain_all, (void))                                                                \
    F(int, bdrv_flush_all, (void))                                                                 \
    F(bool, migrate_background_snapshot, (void))                                                   \
    F(bool, migration_is_running, (void))                                                          \
    F(void, uffd_close_fd, (int fd))                                                               \
    F(void, icount_account_warp_timer, (void))                                                     \
    F(void, icount_handle_deadline, (void))                                                        \
    F(int64_t, icount_get_raw, (void))                                                             \
    F(int64_t, icount_get, (void))                                                                 \
    F(int64_t, icount_percpu_budget, (int cpus))                                                   \
    F(int64_t, cpu_get_clock, (void))                                                              \
    F(bool, all_cpu_threads_idle, (void))                                                          \
    F(int64_t, qemu_clock_deadline_ns_all, (int clock, int attributes))                            \
    F(void, qemu_clock_notify, (int clock))                                                        \
    F(bool, qemu_clock_run_timers, (int clock))                                                    \
    F(void, timerlist_notify, (void *list))                                                        \
    F(bool, qemu_in_vcpu_thread, (void))                                                           \
    F(void, qemu_notify_event, (void))                                                             \
    F(void *, qemu_get_cpu, (int index))                                                           \
    F(void, qemu_cpu_kick, (void *cpu))                                                            \
    F(void, helper_pause, (void *env))                                                             \
    F(void, helper_rechecking_single_step, (void *env))                                            \
    F(void, cpu_loop_exit_noexc, (void *cpu))                                                      \
    F(void, run_on_cpu, (void *cpu, qemu_cpu_work work, uint64_t data))                            \
    F(void, async_run_on_cpu, (void *cpu, qemu_cpu_work work, uint64_t data))                      \
    F(void, timer_init_full,                                                                       \
      (void *timer, void *group, int clock, int scale, int attributes, void *callback,             \
       void *opaque))                                                                              \
    F(void, rng_backend_request_entropy,                                                           \
      (void *backend, size_t size, void (*receive)(void *, const void *, size_t), void *opaque))   \
    F(void *, object_get_class, (void *object))                                                    \
    F(void *, object_get_root, (void))                                                             \
    F(int, object_child_foreach_recursive,                                                         \
      (void *object, int (*visit)(void *child, void *argument), void *argument))                   \
    F(const char *, object_get_typename, (const void *object))                                     \
    F(uint64_t, object_property_get_uint, (void *object, const char *name, void *errp))            \
    F(struct qemu_version_info *, qmp_query_version, (void *errp))                                 \
    F(void, qapi_free_VersionInfo, (struct qemu_version_info *))

#define QEMU_VARIABLES(V)                                                                          \
    V(int, replay_mode)                                                                            \
    V(int, reboot_action)                                                                          \
    V(uint8_t, replay_state)                                                                       \
    V(uint8_t, timers_state)                                                                       \
    V(void *, main_loop_tlg)

struct qemu_symbols {
#define DECLARE(type, name, arguments) type(*name) arguments;
    QEMU_FUNCTIONS(DECLARE)
#undef DECLARE
#define DECLARE(type, name) type *name;
    QEMU_VARIABLES(DECLARE)
#undef DECLARE
};
extern struct qemu_symbols qemu;

/* Is the program we are in a QEMU system emulator that can record and replay at all? */
bool symbols_is_qemu(void);
/* Finds all of the above; refuses, naming it, when one is missing. */
void symbols_resolve(void);

/* enum ReplayMode (qapi/replay.json) */
enum { QEMU_REPLAY_MODE_RECORD = 1, QEMU_REPLAY_MODE_PLAY = 2 };

#endif
