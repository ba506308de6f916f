/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fake_kernel.c - for tests with a real QEMU, preloaded behind the shim: a kernel that has no
 * memory to write-protect pages with, as long as the file named by FAKE_KERNEL_REFUSES exists.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/userfaultfd.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static bool refuses(unsigned long request, const void *argument)
{
    if (request != UFFDIO_WRITEPROTECT)
        return false;
    const struct uffdio_writeprotect *change = argument;
    const char *file = getenv("FAKE_KERNEL_REFUSES");
    return (change->mode & UFFDIO_WRITEPROTECT_MODE_WP) != 0 && file != NULL &&
           access(file, F_OK) == 0;
}

__attribute__((visibility("default"))) int ioctl(int fd, unsigned long request, ...)
{
    int (*real)(int, unsigned long, ...);
    void *next = dlsym(RTLD_NEXT, "ioctl");
    memcpy(&real, &next, sizeof(real));
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if (refuses(request, argument)) {
        errno = ENOMEM;
        return -1;
    }
    return real(fd, request, argument);
}
