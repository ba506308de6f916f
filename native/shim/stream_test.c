/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stream_test.c - a clone's stream arrives whole and in order, and nobody's guest waits for it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "real.h"
#include "shim.h"

/* More than any socket buffer holds. */
enum { CASE_SECONDS = 60, MESSAGE_BYTES = 40000, MESSAGES = 200, PAGE_BYTES = 4096 };
#define STREAM_BYTES ((uint64_t)MESSAGES * MESSAGE_BYTES)

void shim_note(const char *format, ...)
{
    va_list words;
    va_start(words, format);
    vfprintf(stderr, format, words);
    va_end(words);
}

/* The stream's byte at `at`: no piece of it looks like another. */
static uint8_t byte_at(uint64_t at)
{
    return (uint8_t)((at * 2654435761u) >> 13);
}

static ssize_t send_message(int fd, uint64_t number)
{
    static uint8_t bytes[MESSAGE_BYTES];
    for (uint64_t i = 0; i < MESSAGE_BYTES; i++)
        bytes[i] = byte_at(number * MESSAGE_BYTES + i);
    /* As QEMU does: a header of a few bytes, then the page. */
    struct iovec pieces[] = {{bytes, 9}, {bytes + 9, MESSAGE_BYTES - 9}};
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
    return stream_send(fd, &message);
}

struct ends {
    int sender;
    int reader;
};

static struct ends open_stream(void)
{
    int fds[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    stream_opened(fds[0]);
    CHECK(stream_has(fds[0]) && !stream_has(fds[1]));
    return (struct ends){.sender = fds[0], .reader = fds[1]};
}

/* What the shim does when QEMU closes a descriptor. */
static void close_as_qemu(int fd)
{
    stream_closed(fd);
    close(fd);
}

/* Reads to the end, in a process of its own, and is content when all is there and in order. */
static pid_t start_reader(struct ends ends, useconds_t pause_us)
{
    pid_t reader = fork();
    CHECK(reader >= 0);
    if (reader > 0)
        return reader;
    close(ends.sender);
    alarm(CASE_SECONDS);
    static uint8_t buffer[1 << 16];
    uint64_t total = 0;
    ssize_t got;
    while ((got = read(ends.reader, buffer, sizeof(buffer))) > 0) {
        for (ssize_t i = 0; i < got; i++, total++)
            CHECK(buffer[i] == byte_at(total));
        usleep(pause_us);
    }
    _exit(total == STREAM_BYTES ? 0 : 1);
}

static void check_content(pid_t reader)
{
    int status;
    CHECK(waitpid(reader, &status, 0) == reader && status == 0);
}

static void arrives_whole_and_in_order(void)
{
    struct ends ends = open_stream();
    pid_t reader = start_reader(ends, 300);
    for (uint64_t n = 0; n < MESSAGES; n++)
        CHECK(send_message(ends.sender, n) == MESSAGE_BYTES);
    close_as_qemu(ends.sender);
    CHECK(!stream_has(ends.sender));
    check_content(reader);
    close(ends.reader);
}

static void a_reader_that_is_gone_is_told(void)
{
    struct ends ends = open_stream();
    close(ends.reader);
    ssize_t sent = MESSAGE_BYTES;
    for (uint64_t n = 0; n < MESSAGES && sent == MESSAGE_BYTES; n++)
        sent = send_message(ends.sender, n);
    CHECK(sent == -1 && errno == EPIPE);
    close_as_qemu(ends.sender); /* does not hang */
}

static uint8_t *guest_page;

static void *guest(void *unused)
{
    guest_page[0] = 1;
    return unused;
}

static void protect(int faults, bool on)
{
    struct uffdio_writeprotect change = {
        .range = {.start = (uintptr_t)guest_page, .len = PAGE_BYTES},
        .mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
    };
    CHECK(ioctl(faults, UFFDIO_WRITEPROTECT, &change) == 0);
}

/* As QEMU's background snapshot does it. */
static int open_faults(void)
{
    int faults = (int)syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    CHECK(faults >= 0);
    struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP};
    CHECK(ioctl(faults, UFFDIO_API, &api) == 0);
    guest_page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(guest_page != MAP_FAILED);
    guest_page[0] = 0;
    struct uffdio_register range = {
        .range = {.start = (uintptr_t)guest_page, .len = PAGE_BYTES},
        .mode = UFFDIO_REGISTER_MODE_WP,
    };
    CHECK(ioctl(faults, UFFDIO_REGISTER, &range) == 0);
    protect(faults, true);
    return faults;
}

static pthread_t guest_that_waits(int faults)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, guest, NULL) == 0);
    struct pollfd waits = {.fd = faults, .events = POLLIN};
    CHECK(poll(&waits, 1, -1) == 1);
    return thread;
}

static void a_guest_that_waits_is_not_kept_waiting(void)
{
    struct ends ends = open_stream();
    int faults = open_faults();
    pthread_t thread = guest_that_waits(faults);

    /* Nobody reads, and yet all is taken: the thread that sends is free to save the page. */
    for (uint64_t n = 0; n < MESSAGES; n++)
        CHECK(send_message(ends.sender, n) == MESSAGE_BYTES);
    CHECK(guest_page[0] == 0);
    protect(faults, false);
    CHECK(pthread_join(thread, NULL) == 0);

    pid_t reader = start_reader(ends, 0);
    close_as_qemu(faults); /* QEMU tracks no writes any more: what was kept has left */
    stream_closed(ends.sender);
    close(ends.sender);
    check_content(reader);
    close(ends.reader);
    munmap(guest_page, PAGE_BYTES);
}

/* Beyond what can be kept the guest waits: memory is bounded. */
static void no_more_is_kept_than_the_bound(void)
{
    enum { BOUND_MESSAGES = (64 << 20) / MESSAGE_BYTES, BUFFERED_MESSAGES = 100 };
    struct ends ends = open_stream();
    int faults = open_faults();
    pthread_t thread = guest_that_waits(faults);
    int told[2];
    CHECK(pipe(told) == 0);
    pid_t sender = fork();
    CHECK(sender >= 0);
    if (sender == 0) {
        for (uint64_t n = 0;; n++) {
            CHECK(send_message(ends.sender, n) == MESSAGE_BYTES);
            CHECK(write(told[1], "", 1) == 1);
        }
    }
    close(told[1]);
    uint64_t taken = 0;
    char one;
    struct pollfd more = {.fd = told[0], .events = POLLIN};
    while (poll(&more, 1, 3000) == 1 && read(told[0], &one, 1) == 1)
        CHECK(++taken <= BOUND_MESSAGES + BUFFERED_MESSAGES);
    CHECK(taken >= BOUND_MESSAGES);
    CHECK(kill(sender, SIGKILL) == 0 && waitpid(sender, NULL, 0) == sender);
    protect(faults, false);
    CHECK(pthread_join(thread, NULL) == 0);
    close(told[0]);
    close_as_qemu(faults);
    close(ends.reader);
    close_as_qemu(ends.sender);
}

int main(void)
{
    alarm(CASE_SECONDS);
    arrives_whole_and_in_order();
    a_reader_that_is_gone_is_told();
    a_guest_that_waits_is_not_kept_waiting();
    no_more_is_kept_than_the_bound();
    printf("stream: all checks passed\n");
    return 0;
}
