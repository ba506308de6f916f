/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LOCKSTEP_SHIM_HOOK_H
#define LOCKSTEP_SHIM_HOOK_H

#include <stdint.h>

enum { HOOK_JUMP_BYTES = 12 };

/*
 * Makes every call of the function at `target` go to `replacement` of the same type: its first
 * twelve bytes become a jump. The old function can't be called any more. `name` is for the refusal.
 * To be called before a second thread runs code near `target`.
 */
void hook_replace(void *target, void (*replacement)(void), const char *name);

/*
 * The same for a replacement that calls the old function: between lift and set its own bytes are
 * back. Only for a function that no thread but the main one calls; others may run code near it.
 */
struct hook {
    void *target;
    void (*replacement)(void);
    const char *name;
    uint8_t original[HOOK_JUMP_BYTES];
};
void hook_set(struct hook *hook);
void hook_lift(const struct hook *hook);

#endif
