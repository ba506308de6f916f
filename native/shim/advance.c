/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * advance.c - QEMU's replay_advance_current_icount, which everything that is logged or replayed
 * goes through, replaced for speed.
 *
 * Replaying, QEMU wakes its main loop whenever an instruction event is used up, because the next
 * event may be the main loop's. Mostly it is not: under a load that forks, 97 % are page faults,
 * which the vCPU takes up itself, and each cost an eventfd, a poll and two turns of the fair
 * replay lock. So the main loop is left asleep when the next event is certainly the vCPU's.
 * Recording, an instruction event is appended in one piece instead of five.
 */
#include <string.h>

#include "hook.h"
#include "shim.h"
#include "symbols.h"
#include "version.h"

static uint64_t current_icount(void)
{
    uint64_t value;
    memcpy(&value, version_state_field(release->state_current_icount), sizeof(value));
    return value;
}

static void set_current_icount(uint64_t value)
{
    memcpy(version_state_field(release->state_current_icount), &value, sizeof(value));
}

static void log_instructions(uint32_t count)
{
    uint32_t big_endian = __builtin_bswap32(count);
    uint8_t event[1 + sizeof(big_endian)] = {FTLOG_KIND_INSTRUCTIONS};
    memcpy(event + 1, &big_endian, sizeof(big_endian));
    record_append(event, sizeof(event));
}

/* A halted vCPU is woken by the main loop only, so a checkpoint or an asynchronous event counts as
 * the main loop's although the vCPU takes it up. */
static bool is_running_vcpus_own(int kind)
{
    return kind <= FTLOG_KIND_EXCEPTION ||
           (kind >= FTLOG_KIND_CHAR_WRITE && kind <= FTLOG_KIND_RANDOM);
}

static void use_up_instructions(uint32_t count)
{
    int32_t left;
    uint8_t *field = version_state_field(release->state_instruction_count);
    memcpy(&left, field, sizeof(left));
    left -= (int32_t)count;
    memcpy(field, &left, sizeof(left));
    if (left != 0)
        return;
    qemu.replay_finish_event();
    if (!is_running_vcpus_own(replay_current_kind()))
        qemu.qemu_notify_event();
}

static void advance_current_icount(uint64_t icount)
{
    uint64_t before = current_icount();
    int32_t count = (int32_t)(icount - before);
    if (count < 0)
        shim_halt(FTLOG_ERR_EVENT_FIELD, shim_log_position(),
                  "guest time went back from %llu to %llu", (unsigned long long)before,
                  (unsigned long long)icount);
    if (count == 0)
        return;
    set_current_icount(icount);
    if (shim_role() == ROLE_RECORD)
        log_instructions((uint32_t)count);
    else
        use_up_instructions((uint32_t)count);
}

void advance_install(void)
{
    hook_replace((void *)qemu.replay_advance_current_icount, (void (*)(void))advance_current_icount,
                 "replay_advance_current_icount");
}
