/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fake_qemu.h - stands for QEMU in the shim's tests: everything the shim needs of it, exported. */
#ifndef LOCKSTEP_SHIM_FAKE_QEMU_H
#define LOCKSTEP_SHIM_FAKE_QEMU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Settable before the log is opened. */
extern int64_t fake_version[3];
/* Instructions executed so far, as icount_get_raw tells. */
extern uint64_t fake_icount;
/* Its virtual-rt clock, and whether its vCPU is idle. */
extern int64_t fake_real_ns;
extern bool fake_idle;

/* Something waits in its queue of events; accounting the warp timer runs it. */
extern bool fake_has_events;

/* Its vCPU paused (p), resumed (r), told to stop (s), out of its block (x), looked at for a single
 * step (t), given work (w); a checkpoint (c); the machine reset (R), to be off (o). In their order.
 */
extern char fake_calls[32];
/* The event of the log that is next. */
extern int fake_next_kind;
/* Read when a reset is asked for: 1 is to shut down instead. */
extern int reboot_action;

/* What stands behind its character devices. */
extern struct fake_backend {
    int room;  /* so many bytes are taken yet, */
    int piece; /* so many at once, */
    int error; /* and then this is the error */
    int log_fd;
    int count; /* taken */
    char got[64];
} fake_backend;

/* The one object in its tree: a virtio-rng device. */
extern struct fake_rng {
    uint64_t max_bytes;
} fake_rng;

/* As QEMU does it, through stdio. */
bool fake_open_log(const char *name, bool record);
uint32_t fake_get_dword(void);
uint64_t fake_get_qword(void);
uint8_t fake_get_byte(void);
void fake_put_byte(uint8_t byte);
void fake_put_qword(uint64_t value);
void fake_put_array(const void *bytes, uint32_t count);
void fake_seek(uint64_t lsn);
/* What QEMU's vmstate loads before it seeks. */
void fake_set_block_request_id(uint64_t id);

int64_t fake_save_clock(int kind, int64_t ns);
void fake_advance_icount(uint64_t icount);
/* Devices whose input is replayed, made after the log is opened. How many QEMU has then. */
int fake_add_character_device(void);
int fake_add_filter(void);
/* The guest writes to its serial port, which is in the log; QEMU's monitor says something. */
int fake_write(const char *bytes, bool all);
int fake_monitor_writes(const char *bytes);
/* By its virtio-rng. The bytes that the random device is asked for. */
size_t fake_request_entropy(size_t size);
/* What the vCPU's thread does between two turns, and how long the next one may be. */
void fake_turn(void);
int64_t fake_turn_budget(void);
/* QEMU has an idle vCPU's time start at this virtual-rt; -1: it is not idle. */
void fake_set_idle_since(int64_t ns);
int64_t fake_guest_time(void);
/* ShutdownCause: 3 by the monitor, 7 by the guest. */
void fake_request_reset(int cause);
/* PAUSE, in a guest whose registers these are. */
void fake_pause_instruction(void *env);
void fake_close_userfaultfd(int fd);
void fake_set_locked(bool locked);

#endif
