/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * console.c - what this host does with the bytes of a character device: a file, a socket with a
 * reader, or none. Nothing of it may reach the guest. QEMU tells a serial port how much was taken,
 * and why no more; the port then waits for room, or does not, by errno, which is in no log: a full
 * folder on one side was a divergence. And a QEMU that records writes all, however long a reader
 * takes, with the guest and its main loop waiting.
 *
 * So the guest is told, on both sides, that all was written (demand.c); here a host gets what it
 * takes at once, and the rest is lost. The same as QEMU's qemu_chr_write_buffer otherwise, without
 * its waits.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "shim.h"
#include "symbols.h"
#include "version.h"

typedef int (*class_write)(void *device, const uint8_t *bytes, int count);

static class_write write_of_class(void *device)
{
    class_write function;
    const uint8_t *class = qemu.object_get_class(device);
    memcpy(&function, class + release->chardev_class_write, sizeof(function));
    return function;
}

/* A pipe that can be written takes so much at once without a wait (pipe(7)), and a file anything.
 */
static bool takes_some(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLOUT};
    return poll(&look, 1, 0) == 1 && (look.revents & POLLOUT) != 0;
}

/* The device's own log (libvirt's `logfile`). */
static void keep(const void *device, const uint8_t *bytes, int count)
{
    int fd;
    memcpy(&fd, (const uint8_t *)device + release->chardev_log_fd, sizeof(fd));
    while (fd >= 0 && count > 0 && takes_some(fd)) {
        ssize_t taken = write(fd, bytes, (size_t)(count < PIPE_BUF ? count : PIPE_BUF));
        if (taken < 0 && errno != EINTR)
            return;
        bytes += taken > 0 ? taken : 0;
        count -= taken > 0 ? (int)taken : 0;
    }
}

/* What the back end takes in one call, as QEMU's chr_write tells it, errno too. BQL held. */
int console_offer(void *device, const uint8_t *bytes, int count)
{
    void *lock = (uint8_t *)device + release->chardev_write_lock;
    qemu.qemu_mutex_lock_impl(lock, __FILE__, __LINE__);
    int taken = write_of_class(device)(device, bytes, count);
    int saved = errno;
    if (taken > 0)
        keep(device, bytes, taken);
    else if (taken < 0 && saved != EAGAIN)
        keep(device, bytes, count); /* nobody will offer it again */
    qemu.qemu_mutex_unlock_impl(lock, __FILE__, __LINE__);
    errno = saved;
    return taken;
}

/* What the back end does not take at once is lost. BQL held. */
void console_give(void *device, const uint8_t *bytes, int count)
{
    while (count > 0) {
        int taken = console_offer(device, bytes, count);
        if (taken <= 0)
            return;
        bytes += taken;
        count -= taken;
    }
}
