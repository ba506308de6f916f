/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ring_test.c - the ring without QEMU: mapping and its refusals, room, sleeping and waking. */
#define _GNU_SOURCE
#include "check.h"
#include "ring.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static char path[] = "/tmp/lockstep-ring-test-XXXXXX";

static void put_file(const struct ftlog_control *control, uint64_t bytes)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0);
    CHECK(ftruncate(fd, (off_t)bytes) == 0);
    CHECK(pwrite(fd, control, sizeof(*control), 0) == (ssize_t)sizeof(*control));
    close(fd);
}

static struct ftlog_control good(void)
{
    struct ftlog_control control = {
        .magic = FTLOG_MAGIC,
        .contract_version = FTLOG_CONTRACT_VERSION,
        .ring_bytes = FTLOG_RING_BYTES_MIN,
    };
    return control;
}

static void check_refused(struct ftlog_control control, uint64_t file_bytes)
{
    struct ring ring;
    char why[128] = "";
    put_file(&control, file_bytes);
    CHECK(ring_map(&ring, path, why, sizeof(why)) == FTLOG_ERR_CONTRACT);
    CHECK(why[0] != '\0');
    CHECK(ring.data == NULL);
}

static void refuses_what_is_no_ring(void)
{
    struct ftlog_control control = good();
    uint64_t bytes = FTLOG_CONTROL_BYTES + control.ring_bytes;
    check_refused(control, FTLOG_CONTROL_BYTES);
    check_refused(control, bytes - 1);
    control.magic ^= 1;
    check_refused(control, bytes);
    control = good();
    control.contract_version++;
    check_refused(control, bytes);
    for (uint64_t i = 0; i < 4; i++) {
        const uint64_t wrong[] = {0, FTLOG_RING_BYTES_MIN / 2, FTLOG_RING_BYTES_MIN + 4096,
                                  UINT64_MAX};
        control = good();
        control.ring_bytes = wrong[i];
        check_refused(control, bytes);
    }
    struct ring ring;
    char why[128] = "";
    unlink(path);
    CHECK(ring_map(&ring, path, why, sizeof(why)) == FTLOG_ERR_CONTRACT);
    CHECK(ring.control == NULL && why[0] != '\0');
}

static struct ring map_good(void)
{
    struct ftlog_control control = good();
    struct ring ring;
    char why[128];
    put_file(&control, FTLOG_CONTROL_BYTES + control.ring_bytes);
    CHECK(ring_map(&ring, path, why, sizeof(why)) == FTLOG_OK);
    return ring;
}

static void a_run_of_bytes_does_not_wrap(void)
{
    struct ring ring = map_good();
    uint64_t lsn = 7 * ring.bytes - 3;
    memcpy(ring_at(&ring, lsn), "abcdef", 6);
    CHECK(memcmp(ring_at(&ring, lsn + 3), "def", 3) == 0);
    CHECK(memcmp(ring.data, "def", 3) == 0);
    CHECK(ring_at(&ring, 0) == ring.data);
    /* One byte less than two rings: the longest run there can be. */
    memset(ring_at(&ring, lsn + 4), 'x', ring.bytes);
    CHECK(*ring_at(&ring, lsn) == 'x');
    ring_unmap(&ring);
}

static void room_is_what_need_not_be_retained(void)
{
    struct ring ring = map_good();
    uint64_t n = ring.bytes;
    CHECK(ring_has_room(&ring, 5 * n, n));
    ring.control->retain = 1;
    ring.control->reclaimed = 5 * n;
    CHECK(ring_has_room(&ring, 5 * n, n));
    CHECK(!ring_has_room(&ring, 5 * n + 1, n));
    CHECK(ring_has_room(&ring, 6 * n - 1, 1));
    CHECK(!ring_has_room(&ring, 6 * n, 1));
    ring.control->reclaimed = 5 * n + 1;
    CHECK(ring_has_room(&ring, 6 * n, 1));
    ring.control->retain = 0;
    CHECK(ring_has_room(&ring, 100 * n, n));
    ring_unmap(&ring);
}

static void *wake_when_asleep(void *argument)
{
    struct ring *ring = argument;
    while (__atomic_load_n(&ring->control->to_qemu_waiters, __ATOMIC_SEQ_CST) == 0)
        sched_yield();
    ring_store64(&ring->control->produced, 42);
    __atomic_fetch_add(&ring->control->to_qemu_seq, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &ring->control->to_qemu_seq, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
    return NULL;
}

static void a_change_wakes_the_sleeper(void)
{
    struct ring ring = map_good();
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, wake_when_asleep, &ring) == 0);
    while (ring_load64(&ring.control->produced) != 42) {
        uint32_t seen = ring_sleep_prepare(&ring);
        if (ring_load64(&ring.control->produced) != 42)
            ring_sleep(&ring, seen, 60000);
        else
            ring_sleep_cancel(&ring);
    }
    pthread_join(thread, NULL);
    CHECK(ring.control->to_qemu_waiters == 0);
    ring_unmap(&ring);
}

static void a_notice_counts_and_needs_no_sleeper(void)
{
    struct ring ring = map_good();
    ring_notify_sidecar(&ring);
    ring.control->to_sidecar_waiters = 1;
    ring_notify_sidecar(&ring);
    CHECK(ring.control->to_sidecar_seq == 2);
    ring_unmap(&ring);
}

int main(void)
{
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    refuses_what_is_no_ring();
    a_run_of_bytes_does_not_wrap();
    room_is_what_need_not_be_retained();
    a_change_wakes_the_sleeper();
    a_notice_counts_and_needs_no_sleeper();
    unlink(path);
    puts("ring: 5 checks passed");
    return 0;
}
