/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hook.c - replaces functions that QEMU calls without going through the PLT. */
#include "hook.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shim.h"

#ifndef __x86_64__
#error "the jump is written for x86-64"
#endif

enum { JUMP_BYTES = 12 };

/* movabs $to, %rax; jmp *%rax. %rax carries no argument and is not preserved by callees. */
static void write_jump(uint8_t *at, uint64_t to)
{
    uint8_t jump[JUMP_BYTES] = {0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0};
    memcpy(jump + 2, &to, sizeof(to));
    memcpy(at, jump, sizeof(jump));
}

void hook_replace(void *target, void (*replacement)(void), const char *name)
{
    uintptr_t page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = (uintptr_t)target & ~(page_bytes - 1);
    uintptr_t last = ((uintptr_t)target + JUMP_BYTES - 1) & ~(page_bytes - 1);
    size_t length = last - first + page_bytes;
    if (mprotect((void *)first, length, PROT_READ | PROT_WRITE | PROT_EXEC) < 0)
        shim_refuse(FTLOG_ERR_HOOK, "can't replace %s in QEMU: %s", name, strerror(errno));
    write_jump(target, (uint64_t)(uintptr_t)replacement);
    if (mprotect((void *)first, length, PROT_READ | PROT_EXEC) < 0)
        shim_refuse(FTLOG_ERR_HOOK, "can't protect %s in QEMU again: %s", name, strerror(errno));
}
