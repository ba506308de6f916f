/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pause.c - the PAUSE instruction, replaced for speed.
 *
 * QEMU takes PAUSE for a wish to let another vCPU run, and leaves the guest's code for its outer
 * loop. There is no other vCPU; the turn logs a checkpoint, and so each PAUSE of a spin-wait costs
 * a dozen instructions of the guest, two events of the log, and a turn of both locks on both sides.
 * Firmware spins: six million turns, 38 MB of log, in the 0.2 s that it waits for devices at each
 * boot. So only the current block of code is left; whatever must interrupt the guest is looked at
 * before the next one, as after any block.
 */
#include <string.h>

#include "hook.h"
#include "shim.h"
#include "symbols.h"
#include "version.h"

enum { HFLAG_INHIBIT_IRQ = 1 << 3, EFLAG_RF = 1 << 16 };

static void clear_bits(void *env, uint32_t offset, uint32_t bits)
{
    uint32_t value;
    memcpy(&value, (uint8_t *)env + offset, sizeof(value));
    value &= ~bits;
    memcpy((uint8_t *)env + offset, &value, sizeof(value));
}

/* In the vCPU thread, in guest code; does not return. */
static void pause_instruction(void *env)
{
    clear_bits(env, release->env_hflags, HFLAG_INHIBIT_IRQ);
    clear_bits(env, release->env_eflags, EFLAG_RF);
    qemu.helper_rechecking_single_step(env); /* does not return when the guest is single-stepped */
    qemu.cpu_loop_exit_noexc(qemu.qemu_get_cpu(0));
}

void pause_install(void)
{
    hook_replace((void *)qemu.helper_pause, (void (*)(void))pause_instruction, "helper_pause");
}
