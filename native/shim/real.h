/* SPDX-License-Identifier: GPL-2.0-or-later */
/* real.h - the C library's own versions of what the shim interposes. */
#ifndef LOCKSTEP_SHIM_REAL_H
#define LOCKSTEP_SHIM_REAL_H

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

struct real {
    FILE *(*fopen64)(const char *, const char *);
    int (*fclose)(FILE *);
    int (*putc)(int, FILE *);
    int (*getc)(FILE *);
    size_t (*fwrite)(const void *, size_t, size_t, FILE *);
    size_t (*fread)(void *, size_t, size_t, FILE *);
    int (*fseek)(FILE *, long, int);
    long (*ftell)(FILE *);
    int (*feof)(FILE *);
    int (*ferror)(FILE *);
    int (*ppoll)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);
    int (*connect)(int, const struct sockaddr *, socklen_t);
    ssize_t (*sendmsg)(int, const struct msghdr *, int);
    int (*close)(int);
    int (*ioctl)(int, unsigned long, ...);
};

/* Resolved at the first use by anybody: other libraries' constructors may come before ours. */
const struct real *real(void);

#endif
