/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "shim.h"
#include "symbols.h"

void shim_lock_both(void)
{
    qemu.replay_mutex_lock();
    qemu.bql_lock_impl(__FILE__, __LINE__);
}

void shim_unlock_both(void)
{
    qemu.bql_unlock();
    qemu.replay_mutex_unlock();
}
