/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * disks.c - the connections to the sidecar's NBD servers, one for each disk.
 *
 * A send is always whole (whole.c): what is written is read from the guest's memory when the guest
 * asks for it, at a place in the log that is the same on both sides. Half of it sent later, when
 * the sidecar has read, would be what the guest has put there meanwhile: not the same on both
 * sides, and another request would have to wait behind it.
 */
#define _GNU_SOURCE
#include <stdatomic.h>

#include "shim.h"

enum { NO_FD = -1 };

static _Atomic int disk_fds[SHIM_DISKS_MAX];

void disks_init(void)
{
    for (int i = 0; i < SHIM_DISKS_MAX; i++)
        atomic_store(&disk_fds[i], NO_FD);
}

bool disks_have(int fd)
{
    if (shim_role() == ROLE_INERT || fd < 0)
        return false;
    for (int i = 0; i < SHIM_DISKS_MAX; i++) {
        if (atomic_load_explicit(&disk_fds[i], memory_order_acquire) == fd)
            return true;
    }
    return false;
}

void disks_opened(int disk, int fd)
{
    whole_prepare(fd);
    atomic_store(&disk_fds[disk], fd);
}

void disks_closed(int fd)
{
    for (int i = 0; i < SHIM_DISKS_MAX; i++) {
        int open = fd;
        atomic_compare_exchange_strong(&disk_fds[i], &open, NO_FD);
    }
}
