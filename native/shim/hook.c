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

/* movabs $to, %rax; jmp *%rax. %rax carries no argument and is not preserved by callees. */
static void make_jump(uint8_t jump[HOOK_JUMP_BYTES], uint64_t to)
{
    static const uint8_t code[HOOK_JUMP_BYTES] = {0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0};
    memcpy(jump, code, sizeof(code));
    memcpy(jump + 2, &to, sizeof(to));
}

static void write_code(void *target, const uint8_t code[HOOK_JUMP_BYTES], const char *name)
{
    uintptr_t page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = (uintptr_t)target & ~(page_bytes - 1);
    uintptr_t last = ((uintptr_t)target + HOOK_JUMP_BYTES - 1) & ~(page_bytes - 1);
    size_t length = last - first + page_bytes;
    if (mprotect((void *)first, length, PROT_READ | PROT_WRITE | PROT_EXEC) < 0)
        shim_refuse(FTLOG_ERR_HOOK, "can't replace %s in QEMU: %s", name, strerror(errno));
    memcpy(target, code, HOOK_JUMP_BYTES);
    if (mprotect((void *)first, length, PROT_READ | PROT_EXEC) < 0)
        shim_refuse(FTLOG_ERR_HOOK, "can't protect %s in QEMU again: %s", name, strerror(errno));
}

void hook_replace(void *target, void (*replacement)(void), const char *name)
{
    uint8_t jump[HOOK_JUMP_BYTES];
    make_jump(jump, (uint64_t)(uintptr_t)replacement);
    write_code(target, jump, name);
}

void hook_set(struct hook *hook)
{
    memcpy(hook->original, hook->target, sizeof(hook->original));
    hook_replace(hook->target, hook->replacement, hook->name);
}

void hook_lift(const struct hook *hook)
{
    write_code(hook->target, hook->original, hook->name);
}
