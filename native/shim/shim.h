/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shim.h - what the files of the shim share.
 *
 * The shim is an LD_PRELOAD library inside a stock QEMU. It is inert unless LOCKSTEP_RING names a
 * ring file (../ftlog/ftlog.h) and the program is a QEMU that opens a replay log named *.ftlog.
 *
 * Threads and locks. QEMU's replay lock is taken before its big lock (BQL); neither is ever taken
 * here while the other order is possible. What belongs to the log (struct producer, struct
 * consumer) is protected by the replay lock, because QEMU touches its log under that lock only;
 * before the vCPU exists the main thread is alone. The control page is shared with the sidecar:
 * atomics only.
 */
#ifndef LOCKSTEP_SHIM_H
#define LOCKSTEP_SHIM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#include "../ftlog/ftlog.h"
#include "../ftlog/parse.h"
#include "ring.h"

#define SHIM_EXPORT __attribute__((visibility("default")))

/* What this process is. Set when the log is opened; a child that is forked later is inert again. */
enum role {
    ROLE_INERT = 0,
    ROLE_RECORD = 1, /* recording from boot, or live */
    ROLE_REPLAY = 2, /* waiting for a load, or replaying */
};

struct shim {
    _Atomic int role;
    FILE *log_file; /* stands for the log in QEMU's hands; its contents are never used */
    struct ring ring;
};
extern struct shim shim;

static inline enum role shim_role(void)
{
    return (enum role)atomic_load_explicit(&shim.role, memory_order_acquire);
}

static inline struct ftlog_control *shim_control(void)
{
    return shim.ring.control;
}

/* True in QEMU's main-loop thread: the one that opened the log. */
extern _Thread_local bool shim_in_main_thread;

/* init.c */
const char *shim_ring_path(void);
const char *shim_net_path(void);
const char *shim_clone_path(void);
enum { SHIM_DISKS_MAX = 4 };
const char *shim_disk_path(int disk);
bool shim_marker_wanted(void);
/* Takes up the role for a log opened with `mode` ("rb" or "wb"); does not return when it can't. */
void shim_start(FILE *stand_in, const char *mode);

/* Where this process is in the log: what it writes next, or takes up. */
uint64_t shim_log_position(void);

/* fail.c */
/* Says what happened on stderr, one line. */
void shim_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* State FAILED with code and text in the ring, then the process ends: for start, before the guest
 * runs. */
_Noreturn void shim_refuse(enum ftlog_error code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* State FAILED, and this thread stops for ever with whatever locks it holds: the guest can't go on.
 */
_Noreturn void shim_halt(enum ftlog_error code, uint64_t lsn, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* record.c: the producer; caller holds the replay lock. */
void record_start(uint64_t lsn);
void record_append(const void *bytes, size_t count);
uint64_t record_position(void);
/* QEMU is at exit: what it still writes is not part of the VM's history. */
void record_close(void);

/* blocks.c: requests to disks that are under way. */
void blocks_reset(uint64_t completed);
void blocks_completed_one(void);
bool blocks_all_completed(void);

/* replay.c: the consumer; caller holds the replay lock. */
void replay_start(void);
int replay_next_byte(void);
size_t replay_read(void *to, size_t count);
void replay_seek(uint64_t lsn);
uint64_t replay_position(void);
bool replay_waits_for_log(void);
int replay_current_kind(void);   /* -1: none yet */
uint64_t replay_event_end(void); /* LSN behind that event */
bool replay_load_begun(void);    /* the vmstate's log position has been read */

/* devices.c */
bool devices_have(const uint8_t *event);
/* Is what this Chardev reads and writes in the log? */
bool devices_logged(const void *device);

/* console.c: what this host does with what a character device writes; BQL held. */
int console_offer(void *device, const uint8_t *bytes, int count);
void console_give(void *device, const uint8_t *bytes, int count);

/* waiting.c: the made-up start of log before the load. */
int waiting_next_byte(void);
void waiting_rewind(uint64_t offset);

/* golive.c */
void golive_at(uint64_t lsn);

/* clock.c */
void clock_install(void);
/* A clock value that went through the log: what is read next must not be less. */
void clock_seen(unsigned kind, int64_t ns);
void clock_gone_live(void);
/* Real time since the guest first ran, as virtual-rt tells it; caller holds the replay lock. */
int64_t clock_real_ns(void);
/* What virtual-rt left out so far; and what it left out is not to be left out. */
int64_t clock_left_out_ns(void);
void clock_put_in(int64_t ns);

/* warp.c: the guest's clock keeps real time; caller holds both locks, the vCPU does not run. */
/* Right behind QEMU's own accounting of idle time. */
void warp_account(void);
/* Replaying: such an event was met in the log. */
void warp_noted(const uint8_t *event);
/* The machine begins anew. */
void warp_machine_reset(void);
/* How long the vCPU has to wait for real time. */
uint64_t warp_ahead_us(void);
/* The main thread's part, from the ppoll interposer, no lock held. True: go round the loop again.
 */
bool warp_main_thread_turn(void);

/* Functions of QEMU that are replaced, each in the file of its name. */
void notify_install(void);
void demand_install(void);
void advance_install(void);
void timer_install(void);
void pace_install(void);
void warp_install(void);
void pause_install(void);
void clone_install(void);
void tracking_install(void);
void devices_install(void);
void random_install(void);
void reset_install(void);

/* events.c: main thread, no lock held. True: something was done, go round the loop again. */
bool events_deliver(void);

/* locks.c: QEMU's replay lock and BQL, in their order; none is held. */
void shim_lock_both(void);
void shim_unlock_both(void);

/* clone.c: the main thread's part, from the ppoll interposer, no lock held. */
/* Does what is due. True: come back soon, even if nothing else happens. */
bool clone_main_thread_turn(void);
/* True while nothing may enter the guest from outside. */
bool clone_holds_ingress(void);

/* reset.c */
/* A reset was asked for and is not in the log yet. */
bool reset_is_due(void);
/* Both locks are held, the vCPU is stopped. The machine is reset, and runs again if it is to run.
 */
void reset_now(void);
/* The main thread's part, from the ppoll interposer, no lock held. True: go round the loop again.
 */
bool reset_main_thread_turn(void);

/* arrival.c, while replaying */
/* The control thread's part. */
void arrival_look(void);
/* When the log up to `lsn` was there, at the latest; asked for with an `lsn` that only grows. */
uint64_t arrival_ns(uint64_t lsn);

/* pace.c */
void pace_hold(bool held);

/* monotonic.c */
uint64_t monotonic_ns(void);

/* control.c */
void control_start(void);
/* Counts a sign of life of the main loop. */
void control_beat(void);
/* One tick with this beat of the sidecar: true when a QEMU that waits for it has waited long
 * enough. */
bool control_abandoned(uint64_t beat, bool waits);

/* output.c: what descriptors.c finds to be the guest's output. Data comes in by the same sockets.
 */
void output_init(void);
void output_opened(int fd);
void output_closed(int fd);
bool output_has(int fd);
ssize_t output_send(int fd, const struct msghdr *message, int flags);

/* disks.c */
void disks_init(void);
void disks_opened(int disk, int fd);
void disks_closed(int fd);
bool disks_have(int fd);

/* whole.c */
/* Gives the socket a large buffer, where that is allowed. */
void whole_prepare(int fd);
/* Waits until all of it is sent. Returns its bytes. */
ssize_t whole_send(int fd, const struct msghdr *message, int flags);

/* stream.c: what descriptors.c finds to be the stream of a clone. */
void stream_opened(int fd);
bool stream_has(int fd);
ssize_t stream_send(int fd, const struct msghdr *message);
/* Memory was write-protected by this userfaultfd, or the protection of some lifted. */
void stream_protection_changed(int fd, bool protected);
/* Any descriptor is about to be closed. */
void stream_closed(int fd);

#endif
