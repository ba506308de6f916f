/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tracking.c - the end of a clone that never came to track the guest's writes.
 *
 * However a background snapshot ends, QEMU stops its write tracking (ram_write_tracking_stop), also
 * where it has not begun: then it closes a userfaultfd that it does not have.
 * - When memory could not be registered or write-protected (no memory for the kernel's tables is
 *   enough), that is -1, which QEMU's uffd_close_fd asserts against: a clone that fails would take
 *   the primary with it.
 * - When it gave up earlier, that is the number 0 of cleared memory: somebody else's.
 * So the function is replaced. (QEMU always has its standard input, so 0 is never a real one.)
 */
#include <unistd.h>

#include "hook.h"
#include "shim.h"
#include "symbols.h"

static void close_fd(int fd)
{
    if (fd > 0)
        close(fd); /* ours, in descriptors.c: the stream of the clone ends with it */
}

void tracking_install(void)
{
    hook_replace((void *)qemu.uffd_close_fd, (void (*)(void))close_fd, "uffd_close_fd");
}
