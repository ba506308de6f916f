/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check.h - for the tests: a condition that must hold, or the program ends and says where. */
#ifndef LOCKSTEP_SHIM_CHECK_H
#define LOCKSTEP_SHIM_CHECK_H

#include <stdio.h>
#include <unistd.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

#endif
