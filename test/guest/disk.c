/* SPDX-License-Identifier: Apache-2.0 */
/* disk.c - the disk's writer and its judge in one: see disk.h. */
#define _GNU_SOURCE
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    BLOCK = 4096,
    RUN_MAX = 32, /* blocks of one request */
    BLOCKS_MAX = 1 << 18,
    PAUSE_US = 1000,
    RACE_BYTES = 1 << 20, /* more than a socket's buffer holds */
};

/* What is in a block: nothing known (at first), zeroes, or words made of its number and this. */
enum { UNKNOWN = 0, ZEROES = 1, FIRST_GENERATION = 2 };

struct writer {
    int fd;
    uint32_t blocks;
    uint32_t generation;
    uint64_t random;
    uint8_t *buffer;
    uint32_t held[BLOCKS_MAX];
    volatile struct disk_counts *counts;
};

static uint32_t draw(struct writer *w, uint32_t below)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (uint32_t)(w->random >> 32) % below;
}

static uint64_t word(uint32_t block, uint32_t generation, uint32_t at)
{
    if (generation == ZEROES)
        return 0;
    return ((uint64_t)block << 40 ^ (uint64_t)generation << 12 ^ at) * 0x9e3779b97f4a7c15u;
}

static void fill(uint8_t *to, uint32_t block, uint32_t generation)
{
    for (uint32_t at = 0; at < BLOCK / 8; at++) {
        uint64_t value = word(block, generation, at);
        memcpy(to + at * 8, &value, sizeof value);
    }
}

static bool failed(struct writer *w, const char *what, bool is_failed)
{
    if (!is_failed)
        return false;
    w->counts->failed++;
    w->counts->last_errno = errno;
    printf("DISK %s failed: %s\n", what, strerror(errno));
    fflush(stdout);
    return true;
}

/* A write that failed leaves anything. */
static void remember(struct writer *w, uint32_t first, uint32_t count, uint32_t generation)
{
    for (uint32_t i = 0; i < count; i++)
        w->held[first + i] = generation;
}

static void write_run(struct writer *w, uint32_t first, uint32_t count)
{
    uint32_t generation = w->generation++;
    size_t bytes = (size_t)count * BLOCK;
    for (uint32_t i = 0; i < count; i++)
        fill(w->buffer + (size_t)i * BLOCK, first + i, generation);
    remember(w, first, count, UNKNOWN);
    ssize_t n = pwrite(w->fd, w->buffer, bytes, (off_t)first * BLOCK);
    if (failed(w, "write", n != (ssize_t)bytes))
        return;
    remember(w, first, count, generation);
    w->counts->writes++;
}

static void zero_run(struct writer *w, uint32_t first, uint32_t count)
{
    uint64_t range[2] = {(uint64_t)first * BLOCK, (uint64_t)count * BLOCK};
    remember(w, first, count, UNKNOWN);
    if (failed(w, "zeroing", ioctl(w->fd, BLKZEROOUT, range) != 0))
        return;
    remember(w, first, count, ZEROES);
    w->counts->writes++;
}

/* What it leaves is not told to a guest, but both sides must agree on it. */
static void discard_run(struct writer *w, uint32_t first, uint32_t count)
{
    uint64_t range[2] = {(uint64_t)first * BLOCK, (uint64_t)count * BLOCK};
    remember(w, first, count, UNKNOWN);
    if (ioctl(w->fd, BLKDISCARD, range) != 0 && errno != EOPNOTSUPP)
        failed(w, "discard", true);
}

static void judge(struct writer *w, uint32_t block, const uint8_t *found)
{
    static uint8_t wanted[BLOCK];
    if (w->held[block] == UNKNOWN)
        return;
    fill(wanted, block, w->held[block]);
    w->counts->reads++;
    if (memcmp(wanted, found, BLOCK) == 0)
        return;
    w->counts->wrong++;
    printf("DISK block %u is not what was written\n", block);
    fflush(stdout);
}

static void read_run(struct writer *w, uint32_t first, uint32_t count)
{
    size_t bytes = (size_t)count * BLOCK;
    ssize_t n = pread(w->fd, w->buffer, bytes, (off_t)first * BLOCK);
    if (failed(w, "read", n != (ssize_t)bytes))
        return;
    for (uint32_t i = 0; i < count; i++)
        judge(w, first + i, w->buffer + (size_t)i * BLOCK);
}

static void step(struct writer *w)
{
    uint32_t count = 1 + draw(w, RUN_MAX);
    uint32_t first = draw(w, w->blocks - count + 1);
    uint32_t what = draw(w, 16);
    if (what < 7)
        write_run(w, first, count);
    else if (what == 7)
        zero_run(w, first, count);
    else if (what == 8)
        discard_run(w, first, count);
    else
        read_run(w, first, count);
    if (draw(w, 8) == 0 && !failed(w, "flush", fdatasync(w->fd) != 0))
        w->counts->flushes++;
}

static void open_disk(struct writer *w, const char *path)
{
    uint64_t bytes;
    w->fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
    if (w->fd < 0 || ioctl(w->fd, BLKGETSIZE64, &bytes) != 0) {
        printf("DISK %s: %s\n", path, strerror(errno));
        exit(1);
    }
    uint64_t blocks = bytes / BLOCK;
    w->blocks = blocks < BLOCKS_MAX ? (uint32_t)blocks : BLOCKS_MAX;
    w->buffer = aligned_alloc(BLOCK, (size_t)RUN_MAX * BLOCK);
    if (w->buffer == NULL || w->blocks < RUN_MAX)
        exit(1);
}

/* Nobody knows what each write has taken from the buffer; both images must have the same. */
static void rewrite_forever(uint64_t *words, volatile struct disk_counts *counts)
{
    uint64_t value = 1;
    for (; !counts->rest; value++)
        for (size_t at = 0; at < RACE_BYTES / sizeof *words; at += 64)
            words[at] = value;
    pause();
}

void disk_race_forever(const char *path, volatile struct disk_counts *counts)
{
    static struct writer w = {.random = 88172645463325252u};
    uint8_t *buffer =
        mmap(NULL, RACE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    w.counts = counts;
    open_disk(&w, path);
    if (buffer == MAP_FAILED)
        exit(1);
    if (fork() == 0)
        rewrite_forever((uint64_t *)(void *)buffer, counts);
    while (!counts->rest) {
        off_t at = (off_t)draw(&w, w.blocks - RACE_BYTES / BLOCK + 1) * BLOCK;
        if (!failed(&w, "write", pwrite(w.fd, buffer, RACE_BYTES, at) != RACE_BYTES))
            counts->writes++;
    }
    failed(&w, "flush", fdatasync(w.fd) != 0);
    counts->is_rest = 1;
    for (;;)
        pause();
}

void disk_write_forever(const char *path, volatile struct disk_counts *counts)
{
    static struct writer w = {.generation = FIRST_GENERATION, .random = 88172645463325252u};
    w.counts = counts;
    open_disk(&w, path);
    for (;;) {
        if (counts->rest) {
            failed(&w, "flush", fdatasync(w.fd) != 0);
            counts->is_rest = 1;
            pause();
        }
        step(&w);
        usleep(PAUSE_US);
    }
}
