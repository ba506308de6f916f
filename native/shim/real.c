/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include "real.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static struct real functions;
static bool resolved;

static void assign(void *slot, const char *name)
{
    void *address = dlsym(RTLD_NEXT, name);
    if (address == NULL) {
        fprintf(stderr, "lockstep: the C library has no %s\n", name);
        abort();
    }
    memcpy(slot, &address, sizeof(address));
}

/* Running twice in a race at start is harmless: the same values are written. */
static void resolve(void)
{
#define RESOLVE(name) assign(&functions.name, #name);
    RESOLVE(fopen64)
    RESOLVE(fclose)
    RESOLVE(putc)
    RESOLVE(getc)
    RESOLVE(fwrite)
    RESOLVE(fread)
    RESOLVE(fseek)
    RESOLVE(ftell)
    RESOLVE(feof)
    RESOLVE(ferror)
    RESOLVE(ppoll)
    RESOLVE(connect)
    RESOLVE(sendmsg)
    RESOLVE(close)
    RESOLVE(ioctl)
#undef RESOLVE
    __atomic_store_n(&resolved, true, __ATOMIC_RELEASE);
}

const struct real *real(void)
{
    if (!__atomic_load_n(&resolved, __ATOMIC_ACQUIRE))
        resolve();
    return &functions;
}
