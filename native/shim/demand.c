/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * demand.c - events that QEMU demands in the middle of an instruction of the guest: the result of
 * a write to a character device, and random bytes.
 *
 * A log may end just before such an event: the guest writes to its console, the instructions up to
 * there are logged, and the primary dies. Going live there, QEMU is already on its way to read the
 * result, and would abort. So the functions that read it are replaced: a VM that has just gone
 * live does what a recording one does, with the result logged; one that replays gets the event,
 * with its length checked; any other event is a divergence, and halts by name.
 *
 * A write is always whole, whatever becomes of it on this host (console.c).
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "hook.h"
#include "shim.h"
#include "symbols.h"

/* True: the event of this kind is next, and its payload can be read. False: this VM is live. */
static bool is_in_log(enum ftlog_kind kind)
{
    qemu.replay_account_executed_instructions();
    bool is_next = qemu.replay_next_event_is(kind);
    if (shim_role() == ROLE_RECORD)
        return false;
    if (!is_next)
        shim_halt(FTLOG_ERR_EVENT_KIND, replay_position(),
                  "diverged: the guest makes the event %s, the log has %s", ftlog_event_name(kind),
                  ftlog_event_name((unsigned)replay_current_kind()));
    return true;
}

static uint32_t read_dword(void)
{
    uint32_t value;
    replay_read(&value, sizeof(value));
    return __builtin_bswap32(value);
}

/* How the log has it that the guest was answered. `written` bytes left, or the result is an error.
 */
static int answer_of_log(int count, int *written)
{
    int result = (int)read_dword();
    *written = (int)read_dword();
    if (*written < 0 || *written > count)
        shim_halt(FTLOG_ERR_EVENT_FIELD, replay_position(),
                  "the log says %d bytes were written of %d", *written, count);
    qemu.replay_finish_event();
    errno = EIO; /* of all errors one by which a serial port does not wait */
    return result < 0 ? result : *written;
}

static int answer(int count, int *written)
{
    *written = count;
    if (shim_role() == ROLE_REPLAY && is_in_log(FTLOG_KIND_CHAR_WRITE))
        return answer_of_log(count, written);
    qemu.replay_char_write_event_save(count, count);
    return count;
}

static int random_from_log(void *to, size_t count)
{
    int result = (int)read_dword();
    uint32_t bytes = read_dword();
    if (bytes != count)
        shim_halt(FTLOG_ERR_EVENT_FIELD, replay_position(),
                  "the guest asks for %zu random bytes, the log has %u", count, bytes);
    replay_read(to, count);
    qemu.replay_finish_event();
    return result;
}

static int random_of_host(void *to, size_t count)
{
    uint8_t *at = to;
    size_t left = count;
    while (left > 0) {
        ssize_t got = getrandom(at, left, 0);
        if (got < 0 && errno != EINTR)
            shim_halt(FTLOG_ERR_EVENT_FIELD, record_position(), "getrandom: %s", strerror(errno));
        at += got > 0 ? got : 0;
        left -= got > 0 ? (size_t)got : 0;
    }
    qemu.replay_save_random(0, to, count);
    return 0;
}

static int load_random(void *to, size_t count)
{
    return is_in_log(FTLOG_KIND_RANDOM) ? random_from_log(to, count) : random_of_host(to, count);
}

static int write_logged(void *device, const uint8_t *bytes, int count)
{
    int written;
    int result = answer(count, &written);
    int saved = errno;
    console_give(device, bytes, written);
    errno = saved;
    return result;
}

/* QEMU's own two. What is in no log is a monitor's, which waits by itself for a reader who is slow:
 * not in the midst of a write, as a QEMU that records would have it. A CharBackend begins with its
 * Chardev. */
static int write_some(void *backend, const uint8_t *bytes, int count)
{
    void *device = *(void **)backend;
    if (device == NULL || count <= 0)
        return 0;
    return devices_logged(device) ? write_logged(device, bytes, count)
                                  : console_offer(device, bytes, count);
}

static int write_all(void *backend, const uint8_t *bytes, int count)
{
    void *device = *(void **)backend;
    if (device == NULL || count <= 0)
        return 0;
    return devices_logged(device) ? write_logged(device, bytes, count)
                                  : qemu.qemu_chr_write(device, bytes, count, true);
}

void demand_install(void)
{
    hook_replace((void *)qemu.replay_read_random, (void (*)(void))load_random,
                 "replay_read_random");
    hook_replace((void *)qemu.qemu_chr_fe_write, (void (*)(void))write_some, "qemu_chr_fe_write");
    hook_replace((void *)qemu.qemu_chr_fe_write_all, (void (*)(void))write_all,
                 "qemu_chr_fe_write_all");
}
