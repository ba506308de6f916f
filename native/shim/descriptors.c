/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * descriptors.c - which of QEMU's descriptors are ours: sockets, told by the unix path that they
 * connect to (LOCKSTEP_NET, where the guest's packets go, see output.c, LOCKSTEP_DISK0 and so on,
 * see disks.c, and LOCKSTEP_CLONE, where the state of a clone goes, see stream.c), and the
 * userfaultfd of a clone, told by what is asked of it. All others go straight to the C library.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/userfaultfd.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "real.h"
#include "shim.h"

static bool is_path(const struct sockaddr *address, socklen_t length, const char *wanted)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)address;
    size_t head = offsetof(struct sockaddr_un, sun_path);
    if (wanted == NULL || address->sa_family != AF_UNIX || length <= head)
        return false;
    size_t path = strnlen(un->sun_path, length - head);
    return path == strlen(wanted) && memcmp(un->sun_path, wanted, path) == 0;
}

static void opened(int fd, const struct sockaddr *address, socklen_t length)
{
    if (is_path(address, length, shim_net_path()))
        output_opened(fd);
    else if (is_path(address, length, shim_clone_path()))
        stream_opened(fd);
    for (int i = 0; i < SHIM_DISKS_MAX; i++) {
        if (is_path(address, length, shim_disk_path(i)))
            disks_opened(i, fd);
    }
}

SHIM_EXPORT int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    int result = real()->connect(fd, address, length);
    int saved = errno;
    if (result == 0 || saved == EINPROGRESS)
        opened(fd, address, length);
    errno = saved;
    return result;
}

SHIM_EXPORT int close(int fd)
{
    if (shim_role() != ROLE_INERT && fd >= 0) {
        output_closed(fd);
        disks_closed(fd);
        stream_closed(fd);
    }
    return real()->close(fd);
}

SHIM_EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    if (shim_role() != ROLE_INERT && fd >= 0) {
        if (output_has(fd))
            return output_send(fd, message, flags);
        if (disks_have(fd))
            return whole_send(fd, message, flags);
        if (stream_has(fd))
            return stream_send(fd, message);
    }
    return real()->sendmsg(fd, message, flags);
}

SHIM_EXPORT int ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    int result = real()->ioctl(fd, request, argument);
    if (request == UFFDIO_WRITEPROTECT && result == 0 && shim_role() != ROLE_INERT) {
        const struct uffdio_writeprotect *change = argument;
        stream_protection_changed(fd, (change->mode & UFFDIO_WRITEPROTECT_MODE_WP) != 0);
    }
    return result;
}
