/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QEMU's side of a ring, played from standard input, for tests of the other side. One command a
 * line, one answer a line ("ok", "ok VALUE" or "error REASON"), so that a test knows when it
 * happened:
 *
 *   set FIELD NUMBER     write a field of the control page (and bump to_sidecar_seq)
 *   get FIELD            read one
 *   text FIELD WORDS     write qemu_version or error_text
 *   produce HEX          append to the log; waits for room while retain is set
 *   fill BYTES           append that many bytes of 0x01 (event "interrupt"), as produce does
 *   consume              take up the complete events there are; answers consumed
 *   read LSN BYTES       bytes of the log, in hex
 *   wait FIELD NUMBER    sleep on to_qemu_seq until the field holds the number
 *   tick COUNT           bump qemu_beat and to_sidecar_seq COUNT times
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../ftlog/parse.h"

#define LINE_BYTES (4u << 20)

static struct ftlog_control *control;
static uint8_t *data; /* mapped twice */

struct field {
    const char *name;
    size_t offset;
    size_t bytes;
};

#define FIELD(name)                                                                                \
    {                                                                                              \
#name, offsetof(struct ftlog_control, name), sizeof(((struct ftlog_control *)0)->name)     \
    }

static const struct field fields[] = {
    FIELD(start),          FIELD(qemu_pid),        FIELD(log_version),    FIELD(qemu_version),
    FIELD(state),          FIELD(error_code),      FIELD(error_lsn),      FIELD(error_text),
    FIELD(consumed),       FIELD(live_lsn),        FIELD(live_time_ns),   FIELD(net_frames),
    FIELD(clone_state),    FIELD(clone_lsn),       FIELD(clone_attempt),  FIELD(clone_frames),
    FIELD(qemu_beat),      FIELD(icount),          FIELD(ring_waits),     FIELD(held_ms),
    FIELD(produced),       FIELD(reclaimed),       FIELD(retain),         FIELD(promote),
    FIELD(kill),           FIELD(sidecar_beat),    FIELD(pace_permille),  FIELD(contract_version),
    FIELD(to_qemu_seq),    FIELD(ring_bytes),      FIELD(magic),          FIELD(to_sidecar_waiters),
    FIELD(to_sidecar_seq), FIELD(to_qemu_waiters), FIELD(clone_pause_us), FIELD(net_logged),
};

static const struct field *find(const char *name)
{
    for (size_t i = 0; name && i < sizeof fields / sizeof *fields; i++) {
        if (strcmp(fields[i].name, name) == 0) {
            return &fields[i];
        }
    }
    return NULL;
}

static void *at(const struct field *field)
{
    return (uint8_t *)control + field->offset;
}

static uint64_t load(const struct field *field)
{
    return field->bytes == 4 ? __atomic_load_n((uint32_t *)at(field), __ATOMIC_SEQ_CST)
                             : __atomic_load_n((uint64_t *)at(field), __ATOMIC_SEQ_CST);
}

static void store(const struct field *field, uint64_t value)
{
    if (field->bytes == 4) {
        __atomic_store_n((uint32_t *)at(field), (uint32_t)value, __ATOMIC_SEQ_CST);
    } else {
        __atomic_store_n((uint64_t *)at(field), value, __ATOMIC_SEQ_CST);
    }
}

static void tell_sidecar(void)
{
    __atomic_fetch_add(&control->to_sidecar_seq, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&control->to_sidecar_waiters, __ATOMIC_SEQ_CST)) {
        syscall(SYS_futex, &control->to_sidecar_seq, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    }
}

static void sleep_for_sidecar(uint32_t seen)
{
    __atomic_fetch_add(&control->to_qemu_waiters, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &control->to_qemu_seq, FUTEX_WAIT, seen, NULL, NULL, 0);
    __atomic_fetch_sub(&control->to_qemu_waiters, 1, __ATOMIC_SEQ_CST);
}

static uint32_t sidecar_seq(void)
{
    return __atomic_load_n(&control->to_qemu_seq, __ATOMIC_SEQ_CST);
}

static void wait_for_room(uint64_t produced, uint64_t bytes)
{
    for (;;) {
        const uint32_t seen = sidecar_seq();
        const uint64_t reclaimed = __atomic_load_n(&control->reclaimed, __ATOMIC_SEQ_CST);
        const uint32_t retain = __atomic_load_n(&control->retain, __ATOMIC_SEQ_CST);
        if (!retain || produced + bytes - reclaimed <= control->ring_bytes) {
            return;
        }
        control->ring_waits++;
        sleep_for_sidecar(seen);
    }
}

static void append(const uint8_t *bytes, uint64_t count)
{
    const uint64_t produced = control->produced;
    wait_for_room(produced, count);
    memcpy(data + (produced & (control->ring_bytes - 1)), bytes, count);
    __atomic_store_n(&control->produced, produced + count, __ATOMIC_RELEASE);
    tell_sidecar();
}

static unsigned digit(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a') + 10;
}

static uint64_t from_hex(const char *hex, uint8_t *out)
{
    uint64_t count = 0;
    for (; hex[0] && hex[1]; hex += 2) {
        out[count++] = (uint8_t)(digit(hex[0]) << 4 | digit(hex[1]));
    }
    return count;
}

static void do_set(const char *name, const char *value)
{
    const struct field *field = find(name);
    if (!field || !value || field->bytes > 8) {
        puts("error no such field");
        return;
    }
    store(field, strtoull(value, NULL, 0));
    tell_sidecar();
    puts("ok");
}

static void do_get(const char *name)
{
    const struct field *field = find(name);
    if (!field || field->bytes > 8) {
        puts("error no such field");
        return;
    }
    printf("ok %" PRIu64 "\n", load(field));
}

static void do_text(const char *name, const char *words)
{
    const struct field *field = find(name);
    if (!field || field->bytes <= 8 || !words) {
        puts("error no such text");
        return;
    }
    strncpy(at(field), words, field->bytes);
    puts("ok");
}

static void do_produce(const char *hex)
{
    static uint8_t bytes[LINE_BYTES / 2];
    append(bytes, from_hex(hex ? hex : "", bytes));
    printf("ok %" PRIu64 "\n", control->produced);
}

static void do_fill(const char *text)
{
    static uint8_t ones[65536];
    uint64_t left = text ? strtoull(text, NULL, 0) : 0;
    memset(ones, FTLOG_KIND_INTERRUPT, sizeof ones);
    while (left) {
        const uint64_t some = left < sizeof ones ? left : sizeof ones;
        append(ones, some);
        left -= some;
    }
    printf("ok %" PRIu64 "\n", control->produced);
}

static void do_consume(void)
{
    uint64_t consumed = control->consumed;
    const uint64_t produced = __atomic_load_n(&control->produced, __ATOMIC_ACQUIRE);
    int64_t length;
    while ((length = ftlog_event_length(data + (consumed & (control->ring_bytes - 1)),
                                        produced - consumed)) > 0) {
        consumed += (uint64_t)length;
    }
    __atomic_store_n(&control->consumed, consumed, __ATOMIC_RELEASE);
    tell_sidecar();
    if (length < 0) {
        printf("error %s\n", ftlog_error_name((unsigned)-length));
    } else {
        printf("ok %" PRIu64 "\n", consumed);
    }
}

static void do_read(const char *lsn, const char *count)
{
    const uint64_t from = lsn ? strtoull(lsn, NULL, 0) : 0;
    const uint64_t bytes = count ? strtoull(count, NULL, 0) : 0;
    printf("ok ");
    for (uint64_t i = 0; i < bytes; i++) {
        printf("%02x", data[(from + i) & (control->ring_bytes - 1)]);
    }
    puts("");
}

static void do_wait(const char *name, const char *value)
{
    const struct field *field = find(name);
    if (!field || !value || field->bytes > 8) {
        puts("error no such field");
        return;
    }
    const uint64_t wanted = strtoull(value, NULL, 0);
    for (;;) {
        const uint32_t seen = sidecar_seq();
        if (load(field) == wanted) {
            break;
        }
        sleep_for_sidecar(seen);
    }
    puts("ok");
}

static void do_tick(const char *count)
{
    for (uint64_t left = count ? strtoull(count, NULL, 0) : 1; left; left--) {
        control->qemu_beat++;
        tell_sidecar();
    }
    puts("ok");
}

static void obey(char *line)
{
    char *rest = line;
    const char *verb = strsep(&rest, " ");
    if (strcmp(verb, "text") == 0) {
        const char *name = strsep(&rest, " ");
        do_text(name, rest);
        return;
    }
    const char *first = strsep(&rest, " ");
    if (strcmp(verb, "set") == 0) {
        do_set(first, rest);
    } else if (strcmp(verb, "get") == 0) {
        do_get(first);
    } else if (strcmp(verb, "produce") == 0) {
        do_produce(first);
    } else if (strcmp(verb, "fill") == 0) {
        do_fill(first);
    } else if (strcmp(verb, "consume") == 0) {
        do_consume();
    } else if (strcmp(verb, "read") == 0) {
        do_read(first, rest);
    } else if (strcmp(verb, "wait") == 0) {
        do_wait(first, rest);
    } else if (strcmp(verb, "tick") == 0) {
        do_tick(first);
    } else {
        puts("error no such command");
    }
}

static int map_ring(const char *path)
{
    struct stat status;
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0) {
        return -1;
    }
    const size_t bytes = (size_t)status.st_size - FTLOG_CONTROL_BYTES;
    control = mmap(NULL, FTLOG_CONTROL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    data = mmap(NULL, 2 * bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (control == MAP_FAILED || data == MAP_FAILED) {
        return -1;
    }
    for (size_t half = 0; half < 2; half++) {
        if (mmap(data + half * bytes, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
                 FTLOG_CONTROL_BYTES) == MAP_FAILED) {
            return -1;
        }
    }
    close(fd);
    return 0;
}

int main(int argc, char **argv)
{
    static char line[LINE_BYTES];
    if (argc != 2 || map_ring(argv[1]) != 0) {
        fprintf(stderr, "usage: fake_shim RING (%s)\n", strerror(errno));
        return 2;
    }
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        obey(line);
        fflush(stdout);
    }
    return 0;
}
