/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devices.c - which devices the log may name. What came in by a character device or a NIC is logged
 * with the device's number, and QEMU's reader uses that as an index, unchecked or asserted: a
 * corrupt log would end the backup without a word about why.
 *
 * QEMU numbers character devices and network filters as they are registered, from 0 on and never
 * again, in arrays that it does not export. So the registrations are counted: of a character device
 * one for each front end that asks for it, and only of those whose input is replayed.
 */
#include "hook.h"
#include "shim.h"
#include "symbols.h"

enum { DEVICES_MAX = 16 };

static struct registered {
    struct hook hook;
    int count;
} characters, filters;

static const void *logged[DEVICES_MAX]; /* the character devices, by number */

static void register_character(void *device)
{
    if (characters.count == DEVICES_MAX)
        shim_refuse(FTLOG_ERR_CONTRACT, "more than %d character devices in the log", DEVICES_MAX);
    hook_lift(&characters.hook);
    qemu.replay_register_char_driver(device);
    hook_set(&characters.hook);
    logged[characters.count++] = device;
}

bool devices_logged(const void *device)
{
    for (int i = 0; i < characters.count; i++) {
        if (logged[i] == device)
            return true;
    }
    return false;
}

static void *register_filter(void *filter)
{
    hook_lift(&filters.hook);
    void *state = qemu.replay_register_net(filter);
    hook_set(&filters.hook);
    filters.count++;
    return state;
}

bool devices_have(const uint8_t *event)
{
    int device = ftlog_event_device(event); /* -1: for none */
    return device < (event[0] == FTLOG_KIND_NET ? filters.count : characters.count);
}

static void count(struct registered *registered, void *target, void (*replacement)(void),
                  const char *name)
{
    registered->hook = (struct hook){.target = target, .replacement = replacement, .name = name};
    hook_set(&registered->hook);
}

void devices_install(void)
{
    count(&characters, (void *)qemu.replay_register_char_driver, (void (*)(void))register_character,
          "replay_register_char_driver");
    count(&filters, (void *)qemu.replay_register_net, (void (*)(void))register_filter,
          "replay_register_net");
}
