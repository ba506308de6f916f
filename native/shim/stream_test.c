/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stream_test.c - a clone's stream arrives whole and in order, and no guest waits for its reader.
 */
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
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "real.h"
#include "shim.h"

/* More than any socket buffer holds. */
enum { CASE_SECONDS = 60, MESSAGE_BYTES = 40000, MESSAGES = 200, PAGE_BYTES = 4096 };
enum { NICE_MAX = 19 }; /* nobody is nicer: where the tests themselves run so, it matters */
#define STREAM_BYTES ((uint64_t)MESSAGES * MESSAGE_BYTES)

_Thread_local bool shim_in_main_thread;

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

/* -- a guest, and QEMU's background snapshot of it -- */

enum { PAGES = 50 };
static uint8_t *memory;

static void protect(int faults, uint8_t *from, size_t count, bool on)
{
    struct uffdio_writeprotect change = {
        .range = {.start = (uintptr_t)from, .len = count},
        .mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
    };
    CHECK(ioctl(faults, UFFDIO_WRITEPROTECT, &change) == 0);
    stream_protection_changed(faults, on);
}

static int protect_memory(void)
{
    int faults = (int)syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    CHECK(faults >= 0);
    struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP};
    CHECK(ioctl(faults, UFFDIO_API, &api) == 0);
    size_t bytes = (size_t)PAGES * PAGE_BYTES;
    memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    memset(memory, 0, bytes);
    struct uffdio_register range = {
        .range = {.start = (uintptr_t)memory, .len = bytes},
        .mode = UFFDIO_REGISTER_MODE_WP,
    };
    CHECK(ioctl(faults, UFFDIO_REGISTER, &range) == 0);
    protect(faults, memory, bytes, true);
    return faults;
}

struct saving {
    int stream;
    int faults;
};

/* The page that is saved next: the one that the guest waits for, or the one whose turn it is. */
static uint8_t *next_page(int faults, uint64_t turn)
{
    struct uffd_msg event;
    if (read(faults, &event, sizeof(event)) == sizeof(event))
        return (uint8_t *)(uintptr_t)(event.arg.pagefault.address & ~(uint64_t)(PAGE_BYTES - 1));
    return memory + turn % PAGES * PAGE_BYTES;
}

/* The order of things is QEMU's: the event is read, the page is sent, the protection lifted. The
 * guest's pages come last by turn: all but the waited-for ones are others'. */
static void *save(void *argument)
{
    const struct saving *saving = argument;
    int nice_before = getpriority(PRIO_PROCESS, 0);
    for (uint64_t n = 0; n < MESSAGES; n++) {
        uint8_t *page = next_page(saving->faults, PAGES - 1);
        CHECK(send_message(saving->stream, n) == MESSAGE_BYTES);
        protect(saving->faults, page, PAGE_BYTES, false);
    }
    /* A thread of QEMU's own comes after the guest from its first page on; a main thread stays. */
    int nicer = gettid() == getpid() ? 0 : 10;
    int nice_after = nice_before + nicer;
    CHECK(getpriority(PRIO_PROCESS, 0) == (nice_after < NICE_MAX ? nice_after : NICE_MAX));
    close_as_qemu(saving->faults);
    return NULL;
}

/* Nobody reads while the guest touches page after page: it must not wait for that. */
static void a_guest_is_not_kept_waiting(void)
{
    struct ends ends = open_stream();
    struct saving saving = {.stream = ends.sender, .faults = protect_memory()};
    pthread_t saver;
    CHECK(pthread_create(&saver, NULL, save, &saving) == 0);
    for (int page = 0; page < PAGES; page++)
        memory[page * PAGE_BYTES] = 1;
    pid_t reader = start_reader(ends, 0);
    CHECK(pthread_join(saver, NULL) == 0);
    stream_closed(ends.sender);
    close(ends.sender);
    check_content(reader);
    close(ends.reader);
    munmap(memory, (size_t)PAGES * PAGE_BYTES);
}

static void arrives_whole_and_in_order(void)
{
    struct ends ends = open_stream();
    struct saving saving = {.stream = ends.sender, .faults = protect_memory()};
    pid_t reader = start_reader(ends, 300);
    save(&saving);
    CHECK(stream_has(ends.sender));
    close_as_qemu(ends.sender);
    CHECK(!stream_has(ends.sender));
    check_content(reader);
    close(ends.reader);
    munmap(memory, (size_t)PAGES * PAGE_BYTES);
}

static void a_reader_that_is_gone_is_told(void)
{
    struct ends ends = open_stream();
    int faults = protect_memory();
    close(ends.reader);
    CHECK(send_message(ends.sender, 0) == MESSAGE_BYTES);
    CHECK(send_message(ends.sender, 1) == MESSAGE_BYTES);
    protect(faults, memory, PAGE_BYTES, false); /* here it is found out */
    CHECK(send_message(ends.sender, 2) == -1 && errno == EPIPE);
    close_as_qemu(faults); /* neither hangs */
    close_as_qemu(ends.sender);
    munmap(memory, (size_t)PAGES * PAGE_BYTES);
}

/* Without an end of it the guest waits after all: memory is bounded. */
static void no_more_is_kept_than_the_bound(void)
{
    enum { BOUND_MESSAGES = (32 << 20) / MESSAGE_BYTES, BUFFERED_MESSAGES = 100 };
    struct ends ends = open_stream();
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
    while (poll(&more, 1, 2000) == 1 && read(told[0], &one, 1) == 1)
        CHECK(++taken <= BOUND_MESSAGES + BUFFERED_MESSAGES);
    CHECK(taken >= BOUND_MESSAGES);
    CHECK(kill(sender, SIGKILL) == 0 && waitpid(sender, NULL, 0) == sender);
    close(told[0]);
    close(ends.reader);
    close_as_qemu(ends.sender);
}

int main(void)
{
    shim_in_main_thread = true;
    alarm(CASE_SECONDS);
    arrives_whole_and_in_order();
    a_reader_that_is_gone_is_told();
    a_guest_is_not_kept_waiting();
    no_more_is_kept_than_the_bound();
    printf("stream: all checks passed\n");
    return 0;
}
