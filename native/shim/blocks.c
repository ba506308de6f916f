/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blocks.c - disk requests under way. QEMU numbers each request (replay_state.block_request_id,
 * while recording and while replaying) and logs its completion; the difference is under way.
 * Counted as completions pass, so that a clone need not scan the log.
 */
#include <string.h>

#include "shim.h"
#include "version.h"

static uint64_t completed;

void blocks_reset(uint64_t count)
{
    completed = count;
}

void blocks_completed_one(void)
{
    completed++;
}

bool blocks_all_completed(void)
{
    uint64_t issued;
    memcpy(&issued, version_state_field(release->state_block_request_id), sizeof(issued));
    return issued == completed;
}
