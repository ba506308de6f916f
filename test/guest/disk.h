/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUESTD_DISK_H
#define GUESTD_DISK_H

#include <stdint.h>

/* What the writer has done so far; it writes, the command handlers read. */
struct disk_counts {
    uint64_t writes;
    uint64_t flushes;
    uint64_t reads; /* each compared with what was written */
    uint64_t wrong; /* of them, other than what was written */
    uint64_t failed;
    int last_errno;
    int rest;    /* set by a command: it shall leave the disk alone */
    int is_rest; /* and it does, all written is flushed */
};

/*
 * Writes to the disk at `path` and reads back what it wrote, for as long as the guest lives. What a
 * block must hold is known from memory, which a failover keeps: whatever was written before must be
 * there after it. Says on the console when something is not.
 */
void disk_write_forever(const char *path, volatile struct disk_counts *counts);

/*
 * Writes a buffer to the disk which another process changes all the time, also while the write is
 * under way.
 */
void disk_race_forever(const char *path, volatile struct disk_counts *counts);

#endif
