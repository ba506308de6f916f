/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * waiting.c - the log before the load. QEMU in replay mode reads events as soon as it starts, long
 * before a clone arrives, and its main loop (monitor included) stands still while it waits for one.
 * So it gets a log that lets the machine be built and reset, and then an instruction event so long
 * that nobody ever uses it up: the vCPU does not run before the load, whose seek then changes over
 * to the real log.
 */
#include <time.h>

#include "shim.h"
#include "version.h"

enum {
    CHECKPOINT_INIT = 37,
    CHECKPOINT_RESET = 38,
    LOG_BYTES = FTLOG_HEADER_BYTES + 1 + 9 + 1 + 5,
};

static uint8_t made_up[LOG_BYTES];
static uint64_t position;

static void put_big_endian(uint8_t *to, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        to[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
}

static void make_up(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint8_t *p = made_up;
    put_big_endian(p, release->log_version, 4);
    p += FTLOG_HEADER_BYTES;
    *p++ = CHECKPOINT_INIT;
    *p++ = FTLOG_KIND_CLOCK_HOST;
    put_big_endian(p, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec, 8);
    p += 8;
    *p++ = CHECKPOINT_RESET;
    *p++ = FTLOG_KIND_INSTRUCTIONS;
    put_big_endian(p, INT32_MAX, 4);
}

int waiting_next_byte(void)
{
    if (position == 0)
        make_up();
    if (position == LOG_BYTES)
        shim_halt(FTLOG_ERR_LOG_LOST, 0, "the guest ran before it was loaded");
    return made_up[position++];
}

void waiting_rewind(uint64_t offset)
{
    position = offset;
}
