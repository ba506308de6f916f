/* SPDX-License-Identifier: Apache-2.0 */
/* arguments.h - what the door itself must understand of a command line: very little. */
#ifndef LOCKSTEP_DOOR_ARGUMENTS_H
#define LOCKSTEP_DOOR_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>

/* Starts no guest: libvirt asks what this QEMU can do. */
bool is_probe(char *const *argv);

/* The descriptors of taps that the command line names, at most `max`; returns how many, or -1 when
 * there are more. */
int tap_descriptors(char *const *argv, int *fds, int max);

#endif
