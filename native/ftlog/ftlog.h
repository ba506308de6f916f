/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-or-later */
/*
 * ftlog.h - the contract between the shim (inside QEMU) and the sidecar.
 *
 * One file in shared memory per QEMU incarnation:
 *
 *     offset 0                 struct ftlog_control   (FTLOG_CONTROL_BYTES)
 *     FTLOG_CONTROL_BYTES      log bytes              (ring_bytes, a power of two)
 *
 * The log is QEMU's own record/replay stream. An LSN is a byte offset in that
 * stream since the VM first recorded; byte LSN lives at (LSN & (ring_bytes - 1)).
 * Both sides map the data twice, back to back, so that a run of bytes never wraps.
 *
 * Who writes which field is said beside it, and nobody else may: QEMU = the shim,
 * SC = the sidecar. All fields are naturally aligned and accessed atomically;
 * positions with release/acquire order. The sidecar creates and fills the file
 * before QEMU starts.
 */
#ifndef LOCKSTEP_FTLOG_H
#define LOCKSTEP_FTLOG_H

#include <stdint.h>

#define FTLOG_MAGIC 0x314c544649534b4cull /* "LKSIFTL1", little-endian */
#define FTLOG_CONTRACT_VERSION 1u
#define FTLOG_CONTROL_BYTES 4096u
#define FTLOG_RING_BYTES_MIN (1u << 20)
#define FTLOG_RING_BYTES_MAX (1u << 30)
/* QEMU's log starts with a version word and eight reserved bytes. */
#define FTLOG_HEADER_BYTES 12u

/* How this QEMU was started (SC, before start). */
enum ftlog_start {
    FTLOG_START_RECORD = 1, /* rr=record: produces from LSN 12 */
    FTLOG_START_REPLAY = 2, /* rr=replay -incoming: waits for a load */
};

/* What the shim is doing (QEMU). */
enum ftlog_state {
    FTLOG_STATE_NONE = 0,      /* QEMU has not opened its log yet */
    FTLOG_STATE_RECORDING = 1, /* produces the log */
    FTLOG_STATE_WAITING = 2,   /* replay, before the load: fed a made-up start of log */
    FTLOG_STATE_REPLAYING = 3, /* consumes the log */
    FTLOG_STATE_LIVE = 4,      /* went live: produces the log from live_lsn */
    FTLOG_STATE_FAILED = 5,    /* error_code says why; the guest is stopped for good */
};

/* Why a shim gave up (QEMU). Names for people are in ftlog_error_name(). */
enum ftlog_error {
    FTLOG_OK = 0,
    FTLOG_ERR_QEMU_VERSION = 1, /* this QEMU release is not known */
    FTLOG_ERR_LOG_VERSION = 2,  /* the log's version word is not known */
    FTLOG_ERR_SYMBOL = 3,       /* QEMU does not export a needed symbol */
    FTLOG_ERR_CONTRACT = 4,     /* the control page is of another version or size */
    FTLOG_ERR_EVENT_KIND = 5,   /* an event kind that the log version does not have */
    FTLOG_ERR_EVENT_LENGTH = 6, /* an event's own length is beyond its bound */
    FTLOG_ERR_LOG_LOST = 7,     /* the position asked for is not in the ring any more */
    FTLOG_ERR_QUIESCE = 8,      /* the guest did not come to rest in time */
    FTLOG_ERR_HOOK = 9,         /* a function could not be replaced */
    FTLOG_ERR_EVENT_FIELD = 10, /* an event holds a value that QEMU cannot have written */
};

/* Progress of a clone on the source (QEMU). */
enum ftlog_clone {
    FTLOG_CLONE_NONE = 0,
    FTLOG_CLONE_QUIESCING = 1, /* ingress held, queues draining */
    FTLOG_CLONE_POINT = 2,     /* clone_lsn, clone_frames valid; log retained from clone_lsn */
    FTLOG_CLONE_FAILED = 3,    /* did not come to rest within quiesce_ms_max; guest runs on */
};

struct ftlog_control {
    /* -- set by SC before QEMU starts, then constant -- */
    uint64_t magic;
    uint32_t contract_version;
    uint32_t start; /* enum ftlog_start */
    uint64_t ring_bytes;
    uint32_t beat_timeout_ms; /* guest is held when sidecar_beat stands still this long; 0: never */
    uint32_t quiesce_ms_max;

    /* -- identity, set by QEMU when it opens its log, then constant -- */
    uint32_t qemu_pid;     /* in QEMU's pid namespace */
    uint32_t log_version;  /* of QEMU's log and what the shim adds to it: equal on both sides */
    char qemu_version[64]; /* as qemu_get_version()/QEMU_VERSION says, NUL-terminated */

    /* -- QEMU writes -- */
    uint32_t state;      /* enum ftlog_state */
    uint32_t error_code; /* enum ftlog_error */
    uint64_t error_lsn;
    char error_text[128];
    uint64_t consumed;      /* replay: LSN of the first event not yet taken up by QEMU */
    uint64_t live_lsn;      /* valid in LIVE */
    uint64_t live_time_ns;  /* CLOCK_MONOTONIC at go-live */
    uint64_t net_frames;    /* frames begun on the netdev socket, since start */
    uint32_t clone_state;   /* enum ftlog_clone */
    uint32_t clone_attempt; /* counts quiesces: tells a stale CLONE_POINT from a new one */
    uint64_t clone_lsn;
    uint64_t clone_frames; /* net_frames at the clone point */
    uint64_t qemu_beat;    /* moves while the main loop turns */
    uint64_t icount;       /* guest instructions executed, as last seen (information) */
    uint64_t ring_waits;   /* times the producer waited for room */
    uint64_t held_ms;      /* time the guest was held for want of a sidecar beat */

    /* -- the producer writes: QEMU in RECORDING/LIVE, SC in WAITING/REPLAYING -- */
    uint64_t produced; /* LSN behind the last byte of the last complete write */

    /* -- SC writes -- */
    uint64_t reclaimed; /* recording: bytes below may be overwritten; only moves forward.
                           replay: LSN at which the log begins in this ring, the clone's
                           point: a load that asks for another is refused */
    uint32_t retain;  /* recording: 1 = wait for room instead of overwriting. Set to 1 by QEMU at a
                         clone point (together with reclaimed = clone_lsn), cleared by SC */
    uint32_t promote; /* replay: 1 = go live when the log is used up */
    uint32_t kill;    /* 1 = end QEMU at once, flush nothing */
    uint32_t pace_permille; /* vCPU time to take away: 0 (none) .. 1000 (held) */
    uint64_t sidecar_beat;

    /* -- futexes: bumped after a change the other side may sleep on; waiters: whether to wake -- */
    uint32_t to_sidecar_seq;     /* QEMU bumps: produced, state, clone_state */
    uint32_t to_sidecar_waiters; /* SC: non-zero while it sleeps */
    uint32_t to_qemu_seq;        /* SC bumps: produced, reclaimed, promote, kill, pace */
    uint32_t to_qemu_waiters;    /* QEMU: number of sleeping threads */

    /* -- QEMU writes (added last, so that nothing above moved) -- */
    uint64_t clone_pause_us; /* how long the guest stood still at the last clone point */
    uint64_t net_logged; /* packets for the guest among the events that this QEMU has logged since
                            it began to record (start or go-live). Stored after `produced`: of one
                            who reads net_logged first, then produced, all counted lie below */
};

#ifdef __cplusplus
static_assert(sizeof(struct ftlog_control) <= FTLOG_CONTROL_BYTES, "control page too large");
#else
_Static_assert(sizeof(struct ftlog_control) <= FTLOG_CONTROL_BYTES, "control page too large");
#endif

#endif
