/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fail.c - how the shim gives up: named, in the ring and on stderr, and never by going on. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim.h"

enum { HALT_SLEEP_MS = 1000, EXIT_REFUSED = 78 /* EX_CONFIG */ };

static void say(const char *text)
{
    fprintf(stderr, "lockstep: %s\n", text);
}

void shim_note(const char *format, ...)
{
    char text[256];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    say(text);
}

static void publish_failure(enum ftlog_error code, uint64_t lsn, const char *text)
{
    struct ftlog_control *control = shim_control();
    if (control == NULL)
        return;
    snprintf(control->error_text, sizeof(control->error_text), "%s", text);
    ring_store64(&control->error_lsn, lsn);
    ring_store32(&control->error_code, code);
    ring_store32(&control->state, FTLOG_STATE_FAILED);
    ring_notify_sidecar(&shim.ring);
}

void shim_refuse(enum ftlog_error code, const char *format, ...)
{
    char text[sizeof(((struct ftlog_control *)0)->error_text)];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    say(text);
    publish_failure(code, 0, text);
    _exit(EXIT_REFUSED);
}

void shim_halt(enum ftlog_error code, uint64_t lsn, const char *format, ...)
{
    char text[sizeof(((struct ftlog_control *)0)->error_text)];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    say(text);
    publish_failure(code, lsn, text);
    /* QEMU itself would exit or abort on a bad log, and its exit handlers would still touch the
     * guest's disks. Standing still leaves everything as it was; the sidecar ends the process. */
    for (;;)
        usleep(HALT_SLEEP_MS * 1000);
}
