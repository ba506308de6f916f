/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include "symbols.h"

#include <dlfcn.h>
#include <string.h>

#include "shim.h"

struct qemu_symbols qemu;

bool symbols_is_qemu(void)
{
    return dlsym(RTLD_DEFAULT, "replay_mode") != NULL &&
           dlsym(RTLD_DEFAULT, "qmp_query_version") != NULL;
}

static void *find(const char *name)
{
    void *address = dlsym(RTLD_DEFAULT, name);
    if (address == NULL)
        shim_refuse(FTLOG_ERR_SYMBOL, "this QEMU does not export %s", name);
    return address;
}

/* ISO C has no cast from object to function pointer; POSIX promises that the bits are the same. */
static void assign(void *slot, const char *name)
{
    void *address = find(name);
    memcpy(slot, &address, sizeof(address));
}

void symbols_resolve(void)
{
#define RESOLVE(type, name, arguments) assign(&qemu.name, #name);
    QEMU_FUNCTIONS(RESOLVE)
#undef RESOLVE
#define RESOLVE(type, name) assign(&qemu.name, #name);
    QEMU_VARIABLES(RESOLVE)
#undef RESOLVE
}
