/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include "ring.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static enum ftlog_error check_control(const struct ftlog_control *control, uint64_t file_bytes,
                                      char *why, uint64_t why_bytes)
{
    if (control->magic != FTLOG_MAGIC || control->contract_version != FTLOG_CONTRACT_VERSION) {
        snprintf(why, why_bytes, "ring file of another kind or contract (version %u, expected %u)",
                 control->contract_version, FTLOG_CONTRACT_VERSION);
        return FTLOG_ERR_CONTRACT;
    }
    uint64_t bytes = control->ring_bytes;
    bool power_of_two = bytes != 0 && (bytes & (bytes - 1)) == 0;
    if (!power_of_two || bytes < FTLOG_RING_BYTES_MIN || bytes > FTLOG_RING_BYTES_MAX ||
        file_bytes < FTLOG_CONTROL_BYTES + bytes) {
        snprintf(why, why_bytes, "ring of %llu bytes in a file of %llu bytes",
                 (unsigned long long)bytes, (unsigned long long)file_bytes);
        return FTLOG_ERR_CONTRACT;
    }
    return FTLOG_OK;
}

/* Reserves room for control page and twice the data, then puts the file over it. */
static uint8_t *map_twice(int fd, uint64_t bytes)
{
    uint8_t *base = mmap(NULL, FTLOG_CONTROL_BYTES + 2 * bytes, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return NULL;
    uint8_t *data = base + FTLOG_CONTROL_BYTES;
    int protection = PROT_READ | PROT_WRITE;
    if (mmap(base, FTLOG_CONTROL_BYTES + bytes, protection, MAP_SHARED | MAP_FIXED, fd, 0) ==
            MAP_FAILED ||
        mmap(data + bytes, bytes, protection, MAP_SHARED | MAP_FIXED, fd, FTLOG_CONTROL_BYTES) ==
            MAP_FAILED) {
        munmap(base, FTLOG_CONTROL_BYTES + 2 * bytes);
        return NULL;
    }
    return base;
}

enum ftlog_error ring_map(struct ring *ring, const char *path, char *why, uint64_t why_bytes)
{
    struct stat status;
    memset(ring, 0, sizeof(*ring));
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0 || status.st_size < (off_t)FTLOG_CONTROL_BYTES) {
        snprintf(why, why_bytes, "ring file %s: %s", path, fd < 0 ? strerror(errno) : "too short");
        if (fd >= 0)
            close(fd);
        return FTLOG_ERR_CONTRACT;
    }
    struct ftlog_control *control =
        mmap(NULL, FTLOG_CONTROL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (control == MAP_FAILED) {
        snprintf(why, why_bytes, "ring file %s: %s", path, strerror(errno));
        close(fd);
        return FTLOG_ERR_CONTRACT;
    }
    enum ftlog_error error = check_control(control, (uint64_t)status.st_size, why, why_bytes);
    if (error != FTLOG_OK) {
        /* The page stays mapped if it is one of ours, so that the refusal can be read there. */
        if (control->magic == FTLOG_MAGIC)
            ring->control = control;
        else
            munmap(control, FTLOG_CONTROL_BYTES);
        close(fd);
        return error;
    }
    uint64_t bytes = control->ring_bytes;
    munmap(control, FTLOG_CONTROL_BYTES);
    uint8_t *base = map_twice(fd, bytes);
    if (base == NULL)
        snprintf(why, why_bytes, "ring file %s: %s", path, strerror(errno));
    close(fd);
    if (base == NULL)
        return FTLOG_ERR_CONTRACT;
    ring->control = (struct ftlog_control *)(void *)base;
    ring->data = base + FTLOG_CONTROL_BYTES;
    ring->bytes = bytes;
    return FTLOG_OK;
}

void ring_unmap(struct ring *ring)
{
    if (ring->control != NULL)
        munmap(ring->control, FTLOG_CONTROL_BYTES + 2 * ring->bytes);
    memset(ring, 0, sizeof(*ring));
}

void ring_notify_sidecar(struct ring *ring)
{
    struct ftlog_control *c = ring->control;
    /* The bump is a full barrier: either the sidecar's futex sees it, or we see the sidecar asleep.
     */
    __atomic_fetch_add(&c->to_sidecar_seq, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&c->to_sidecar_waiters, __ATOMIC_SEQ_CST) != 0)
        syscall(SYS_futex, &c->to_sidecar_seq, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

bool ring_has_room(const struct ring *ring, uint64_t head, uint64_t count)
{
    if (ring_load32(&ring->control->retain) == 0)
        return true;
    uint64_t reclaimed = ring_load64(&ring->control->reclaimed);
    return reclaimed > head || head + count - reclaimed <= ring->bytes;
}

uint32_t ring_sleep_prepare(struct ring *ring)
{
    __atomic_fetch_add(&ring->control->to_qemu_waiters, 1, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&ring->control->to_qemu_seq, __ATOMIC_SEQ_CST);
}

void ring_sleep(struct ring *ring, uint32_t seen, uint32_t ms)
{
    struct timespec limit = {ms / 1000, (long)(ms % 1000) * 1000000L};
    /* Woken, changed before we slept, interrupted, timed out: the caller looks again either way. */
    syscall(SYS_futex, &ring->control->to_qemu_seq, FUTEX_WAIT, seen, &limit, NULL, 0);
    ring_sleep_cancel(ring);
}

void ring_sleep_cancel(struct ring *ring)
{
    __atomic_fetch_sub(&ring->control->to_qemu_waiters, 1, __ATOMIC_SEQ_CST);
}
