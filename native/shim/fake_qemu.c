/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include "fake_qemu.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../ftlog/parse.h"
#include "check.h"
#include "symbols.h"

#undef putc
#undef getc

/*
 * Functions that the shim replaces get their first bytes overwritten: they must be real functions,
 * called through a pointer that the compiler can't see through, and longer than a jump.
 */
#define FAKE __attribute__((noinline, visibility("default"), used))
#define LONG_ENOUGH __asm__ volatile(".skip 32, 0x90")

enum {
    STATE_BYTES = 128,
    BLOCK_REQUEST_ID_AT = 48,
    BIAS_AT = 40,
    WARP_START_AT = 48,
    ICOUNT_SHIFT = 1,
    CLOCKS = 4,
    TYPE_AT = 8,
    RNG_REQUESTS_AT = 48,
    CLASS_REQUEST_AT = 96,
    CHARDEV_LOG_FD_AT = 112,
    CLASS_WRITE_AT = 120,
};

int64_t fake_version[3] = {10, 0, 2};
uint64_t fake_icount;
int64_t fake_real_ns;
bool fake_idle;
bool fake_has_events;
char fake_calls[32];
int fake_next_kind = -1;

static bool locked = true;
static FILE *log_file;

struct fake_rng fake_rng = {.max_bytes = INT64_MAX};
static int registered_characters, registered_filters;

struct fake_backend fake_backend = {.room = 64, .piece = 64, .log_fd = -1};
static void *fake_chardev[24], *fake_monitor[24];

/* A clock's chain of timer lists: each list begins with its clock, and has the next at 64. */
static struct fake_clock {
    void *lists;
    int type;
} clocks[CLOCKS];
static uint8_t lists[CLOCKS][128];

void fake_put_byte(uint8_t byte)
{
    putc(byte, log_file);
}

static void put_dword(uint32_t value)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        fake_put_byte((uint8_t)(value >> shift));
}

#define VARIABLE(type, name) __attribute__((visibility("default"))) type name
VARIABLE(int, replay_mode);
VARIABLE(int, reboot_action);
VARIABLE(uint8_t, replay_state)[STATE_BYTES];
VARIABLE(uint8_t, timers_state)[STATE_BYTES];
VARIABLE(void *, main_loop_tlg)[CLOCKS];

static int64_t fake_guest_ns(void)
{
    int64_t bias;
    memcpy(&bias, timers_state + BIAS_AT, sizeof(bias));
    return bias + (int64_t)(fake_icount << ICOUNT_SHIFT);
}

#define FAKE_VOID(name, arguments)                                                                 \
    FAKE void name arguments;                                                                      \
    void name arguments                                                                            \
    {                                                                                              \
        LONG_ENOUGH;                                                                               \
    }
#define FAKE_VALUE(type, name, arguments, value)                                                   \
    FAKE type name arguments;                                                                      \
    type name arguments                                                                            \
    {                                                                                              \
        LONG_ENOUGH;                                                                               \
        return value;                                                                              \
    }

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
FAKE void replay_mutex_lock(void);
void replay_mutex_lock(void)
{
    LONG_ENOUGH;
    CHECK(!locked);
    locked = true;
}
FAKE void replay_mutex_unlock(void);
void replay_mutex_unlock(void)
{
    LONG_ENOUGH;
    locked = false;
}
FAKE_VALUE(bool, replay_mutex_locked, (void), locked)
FAKE_VOID(replay_save_events, (void))
FAKE_VALUE(bool, replay_has_events, (void), fake_has_events)
FAKE_VOID(replay_save_instructions, (void))
FAKE_VOID(replay_advance_current_icount, (uint64_t icount))
FAKE_VOID(replay_finish_event, (void))
FAKE_VOID(replay_account_executed_instructions, (void))
FAKE void replay_char_write_event_save(int result, int offset);
void replay_char_write_event_save(int result, int offset)
{
    LONG_ENOUGH;
    CHECK(result == offset);
    fake_put_byte(FTLOG_KIND_CHAR_WRITE);
    put_dword((uint32_t)result);
    put_dword((uint32_t)offset);
}
FAKE_VOID(qemu_mutex_lock_impl, (void *mutex, const char *file, int line))
FAKE_VOID(qemu_mutex_unlock_impl, (void *mutex, const char *file, int line))
FAKE_VALUE(int, replay_read_random, (void *to, size_t count), 0)
FAKE_VOID(replay_save_random, (int result, void *bytes, size_t count))
FAKE_VALUE(int, qemu_chr_fe_write, (void *backend, const uint8_t *bytes, int count), 0)
FAKE_VALUE(int, qemu_chr_fe_write_all, (void *backend, const uint8_t *bytes, int count), 0)
FAKE_VALUE(int, qemu_chr_write, (void *device, const uint8_t *bytes, int count, bool all), 0)
FAKE void replay_register_char_driver(void *device);
void replay_register_char_driver(void *device)
{
    LONG_ENOUGH;
    registered_characters++;
}
FAKE void *replay_register_net(void *filter);
void *replay_register_net(void *filter)
{
    LONG_ENOUGH;
    registered_filters++;
    return &registered_filters;
}
FAKE_VALUE(uint64_t, replay_get_current_icount, (void), fake_icount)
FAKE_VALUE(int64_t, replay_save_clock, (int kind, int64_t clock, int64_t icount), 0)
FAKE_VOID(bql_lock_impl, (const char *file, int line))
FAKE_VALUE(bool, bql_locked, (void), locked)
FAKE_VOID(bql_unlock, (void))
FAKE_VALUE(bool, runstate_check, (int state), false)
FAKE_VALUE(int, runstate_get, (void), 9)
FAKE_VOID(runstate_set, (int state))
FAKE_VALUE(bool, runstate_is_running, (void), true)
FAKE_VOID(qemu_system_reset_request, (int cause))
FAKE_VOID(helper_pause, (void *env))
FAKE_VOID(vm_start, (void))
FAKE_VALUE(int, vm_stop, (int state), 0)
FAKE_VALUE(int, vm_stop_force_state, (int state), 0)
FAKE_VOID(bdrv_drain_all, (void))
FAKE_VALUE(int, bdrv_flush_all, (void), 0)
FAKE_VALUE(bool, migrate_background_snapshot, (void), false)
FAKE_VALUE(bool, migration_is_running, (void), false)
FAKE_VOID(uffd_close_fd, (int fd))
FAKE void icount_account_warp_timer(void);
void icount_account_warp_timer(void)
{
    LONG_ENOUGH;
    fake_has_events = false;
}
FAKE_VOID(icount_handle_deadline, (void))
FAKE_VALUE(int64_t, icount_get_raw, (void), (int64_t)fake_icount)
FAKE_VALUE(int64_t, icount_get, (void), fake_guest_ns())
FAKE_VALUE(int64_t, icount_percpu_budget, (int cpus), 0)
FAKE_VALUE(int64_t, cpu_get_clock, (void), fake_real_ns)
FAKE_VALUE(bool, all_cpu_threads_idle, (void), fake_idle)
FAKE_VALUE(int64_t, qemu_clock_deadline_ns_all, (int clock, int attributes), -1)
FAKE_VOID(qemu_clock_notify, (int clock))
FAKE_VALUE(bool, qemu_clock_run_timers, (int clock), false)
FAKE_VOID(timerlist_notify, (void *list))
FAKE_VALUE(bool, qemu_in_vcpu_thread, (void), false)
FAKE_VOID(qemu_notify_event, (void))
FAKE_VALUE(void *, qemu_get_cpu, (int index), NULL)
FAKE_VOID(qemu_cpu_kick, (void *cpu))
FAKE_VOID(rng_backend_request_entropy,
          (void *backend, size_t size, void (*receive)(void *, const void *, size_t), void *opaque))
FAKE_VALUE(void *, object_get_class, (void *object), *(void **)object)
FAKE_VALUE(void *, object_get_root, (void), NULL)
FAKE_VALUE(int, object_child_foreach_recursive,
           (void *object, int (*visit)(void *, void *), void *argument), visit(&fake_rng, argument))
FAKE_VALUE(const char *, object_get_typename, (const void *object),
           object == &fake_rng ? "virtio-rng-device" : "other")
FAKE_VALUE(uint64_t, object_property_get_uint, (void *object, const char *name, void *errp),
           fake_rng.max_bytes)
FAKE_VOID(timer_init_full, (void *timer, void *group, int clock, int scale, int attributes,
                            void *callback, void *opaque))

FAKE struct qemu_version_info *qmp_query_version(void *errp);
struct qemu_version_info *qmp_query_version(void *errp)
{
    struct qemu_version_info *info = calloc(1, sizeof(*info));
    info->qemu = calloc(1, sizeof(*info->qemu));
    info->qemu->major = fake_version[0];
    info->qemu->minor = fake_version[1];
    info->qemu->micro = fake_version[2];
    info->package = strdup("(fake)");
    return info;
}

/* Of a stopped vCPU's thread nothing can be had. */
FAKE void run_on_cpu(void *cpu, qemu_cpu_work work, uint64_t data);
void run_on_cpu(void *cpu, qemu_cpu_work work, uint64_t data)
{
    LONG_ENOUGH;
    CHECK(false);
}

static void note_call(char letter)
{
    size_t length = strlen(fake_calls);
    CHECK(length + 1 < sizeof(fake_calls));
    fake_calls[length] = letter;
}

#define FAKE_NOTED(name, arguments, letter)                                                        \
    FAKE void name arguments;                                                                      \
    void name arguments                                                                            \
    {                                                                                              \
        LONG_ENOUGH;                                                                               \
        note_call(letter);                                                                         \
    }
FAKE_NOTED(pause_all_vcpus, (void), 'p')
FAKE_NOTED(resume_all_vcpus, (void), 'r')
FAKE_NOTED(cpu_stop_current, (void), 's')
FAKE_NOTED(cpu_loop_exit_noexc, (void *cpu), 'x')
FAKE_NOTED(async_run_on_cpu, (void *cpu, qemu_cpu_work work, uint64_t data), 'w')
FAKE_NOTED(helper_rechecking_single_step, (void *env), 't')
FAKE_NOTED(qemu_system_shutdown_request, (int cause), 'o')
#pragma GCC diagnostic pop

static void set_word(void *cpu, uint64_t word)
{
    *(uint64_t *)cpu = word;
}

/* A device that has something run on the vCPU, and waits for it. */
FAKE void qemu_system_reset(int cause);
void qemu_system_reset(int cause)
{
    void (*volatile call)(void *, qemu_cpu_work, uint64_t) = run_on_cpu;
    uint64_t word = 0;
    CHECK(locked && cause != 0);
    call(&word, set_word, 7);
    CHECK(word == 7);
    note_call('R');
}

FAKE bool replay_next_event_is(int kind);
bool replay_next_event_is(int kind)
{
    LONG_ENOUGH;
    return kind == fake_next_kind;
}

FAKE bool replay_checkpoint(int checkpoint);
bool replay_checkpoint(int checkpoint)
{
    LONG_ENOUGH;
    if (replay_mode == QEMU_REPLAY_MODE_RECORD)
        fake_put_byte((uint8_t)(FTLOG_KIND_CHECKPOINT_FIRST + checkpoint));
    note_call('c');
    return true;
}

FAKE void qapi_free_VersionInfo(struct qemu_version_info *info);
void qapi_free_VersionInfo(struct qemu_version_info *info)
{
    free(info->package);
    free(info->qemu);
    free(info);
}

static void make_timer_lists(void)
{
    for (int type = 0; type < CLOCKS; type++) {
        void *clock = &clocks[type], *list = lists[type];
        clocks[type].type = type;
        clocks[type].lists = list;
        memcpy(lists[type], &clock, sizeof(clock));
        main_loop_tlg[type] = list;
    }
}

bool fake_open_log(const char *name, bool record)
{
    make_timer_lists();
    replay_mode = record ? 1 : 2;
    log_file = fopen64(name, record ? "wb" : "rb");
    return log_file != NULL;
}

uint8_t fake_get_byte(void)
{
    return (uint8_t)getc(log_file);
}

uint32_t fake_get_dword(void)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++)
        value = value << 8 | fake_get_byte();
    return value;
}

uint64_t fake_get_qword(void)
{
    uint64_t high = fake_get_dword();
    return high << 32 | fake_get_dword();
}

void fake_put_qword(uint64_t value)
{
    put_dword((uint32_t)(value >> 32));
    put_dword((uint32_t)value);
}

void fake_put_array(const void *bytes, uint32_t count)
{
    put_dword(count);
    (void)!fwrite(bytes, 1, count, log_file);
}

void fake_seek(uint64_t lsn)
{
    fseek(log_file, (long)lsn, SEEK_SET);
}

void fake_set_block_request_id(uint64_t id)
{
    memcpy(replay_state + BLOCK_REQUEST_ID_AT, &id, sizeof(id));
}

/* Calls through a volatile pointer: the compiler must not assume the body it sees. */
int64_t fake_save_clock(int kind, int64_t ns)
{
    int64_t (*volatile call)(int, int64_t, int64_t) = replay_save_clock;
    return call(kind, ns, (int64_t)fake_icount);
}

void fake_advance_icount(uint64_t icount)
{
    void (*volatile call)(uint64_t) = replay_advance_current_icount;
    fake_icount = icount;
    call(icount);
}

/* As rng-builtin keeps it; the request has its size in its fifth word, and its data in the second.
 */
static size_t requested;
static void class_request(void *backend, void **request)
{
    CHECK(((void **)backend)[RNG_REQUESTS_AT / sizeof(void *)] == NULL);
    requested = (size_t)request[4];
    memset(request[1], 1, requested);
}

size_t fake_request_entropy(size_t size)
{
    void *class[CLASS_REQUEST_AT / sizeof(void *) + 1] = {NULL};
    void *backend[RNG_REQUESTS_AT / sizeof(void *) + 2] = {class};
    void **first = &backend[RNG_REQUESTS_AT / sizeof(void *)];
    void (*volatile call)(void *, size_t, void (*)(void *, const void *, size_t), void *) =
        rng_backend_request_entropy;
    first[1] = first;
    class[CLASS_REQUEST_AT / sizeof(void *)] = (void *)class_request;
    call(backend, size, NULL, NULL);
    void **request = *first;
    CHECK(request != NULL && first[1] == &request[5] && request[5] == NULL);
    free(request[1]);
    free(request);
    return requested;
}

void fake_turn(void)
{
    void (*volatile call)(void) = icount_handle_deadline;
    call();
}

int64_t fake_turn_budget(void)
{
    int64_t (*volatile call)(int) = icount_percpu_budget;
    return call(1);
}

void fake_set_idle_since(int64_t ns)
{
    memcpy(timers_state + WARP_START_AT, &ns, sizeof(ns));
}

int64_t fake_guest_time(void)
{
    return fake_guest_ns();
}

void fake_request_reset(int cause)
{
    void (*volatile call)(int) = qemu_system_reset_request;
    call(cause);
}

void fake_pause_instruction(void *env)
{
    void (*volatile call)(void *) = helper_pause;
    call(env);
}

void fake_close_userfaultfd(int fd)
{
    void (*volatile call)(int) = uffd_close_fd;
    call(fd);
}

int fake_add_character_device(void)
{
    void (*volatile call)(void *) = replay_register_char_driver;
    call(&fake_chardev);
    return registered_characters;
}

/* A back end that takes a few bytes at a time, and then no more. */
static int chardev_write(void *device, const uint8_t *bytes, int count)
{
    CHECK(device == &fake_chardev || device == &fake_monitor);
    int taken = count < fake_backend.room ? count : fake_backend.room;
    taken = taken < fake_backend.piece ? taken : fake_backend.piece;
    if (taken == 0) {
        errno = fake_backend.error;
        return -1;
    }
    memcpy(fake_backend.got + fake_backend.count, bytes, (size_t)taken);
    fake_backend.count += taken;
    fake_backend.room -= taken;
    return taken;
}

static int write_by(void *chardev, const char *bytes, bool all)
{
    static void *class[CLASS_WRITE_AT / sizeof(void *) + 1];
    int (*volatile call)(void *, const uint8_t *, int) =
        all ? qemu_chr_fe_write_all : qemu_chr_fe_write;
    void *backend[1] = {chardev};
    class[CLASS_WRITE_AT / sizeof(void *)] = (void *)chardev_write;
    *(void **)chardev = class;
    memcpy((uint8_t *)chardev + CHARDEV_LOG_FD_AT, &fake_backend.log_fd, sizeof(int));
    return call(backend, (const uint8_t *)bytes, (int)strlen(bytes));
}

int fake_write(const char *bytes, bool all)
{
    return write_by(&fake_chardev, bytes, all);
}

int fake_monitor_writes(const char *bytes)
{
    return write_by(&fake_monitor, bytes, false);
}

int fake_add_filter(void)
{
    void *(*volatile call)(void *) = replay_register_net;
    CHECK(call(NULL) == &registered_filters);
    return registered_filters;
}

void fake_set_locked(bool now)
{
    locked = now;
}
