/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LOCKSTEP_SHIM_HOOK_H
#define LOCKSTEP_SHIM_HOOK_H

/*
 * Makes every call of the function at `target` go to `replacement` of the same type: its first
 * twelve bytes become a jump. The old function can't be called any more. `name` is for the refusal.
 * To be called before a second thread runs code near `target`.
 */
void hook_replace(void *target, void (*replacement)(void), const char *name);

#endif
