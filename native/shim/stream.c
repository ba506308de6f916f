/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stream.c - the state of a clone on its way out of QEMU.
 *
 * From the clone point on all of the guest's memory is write-protected (userfaultfd), and the
 * migration thread saves it page by page, each with a send of its own. A page that the guest wants
 * to write is saved first, and the guest waits for it: for as long as that thread waits in a send,
 * and that is nearly always, because it saves faster than anybody reads, and a full unix socket
 * wakes its writer only when three quarters of it are empty. A request that touches fifty pages
 * would wait fifty times.
 *
 * So what is sent is kept here first, and leaves in large pieces. When there is no room for one,
 * the thread waits for room or for a guest that waits, whichever comes first; for a guest that
 * waits it goes on, and more is kept, in order and bounded.
 *
 * What is left at the end leaves when QEMU closes its userfaultfd: that thread does it, right
 * after its last send.
 *
 * One migration at a time, one thread that sends.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "message.h"
#include "real.h"
#include "shim.h"

/* A power of two. Room for 16,000 pages that the guest has waited for; touched only when needed. */
#define KEPT_BYTES_MAX ((size_t)64 << 20)
#define PIECE_BYTES ((size_t)64 << 10)
enum { NO_FD = -1, WAIT_MS = 1000 };

static const char faults_link[] = "anon_inode:[userfaultfd]";

static _Atomic int stream_fd = NO_FD;

/* The sending thread's; before and after it, the main thread's. */
static struct {
    _Atomic int faults_fd; /* readable while the guest waits for a page; NO_FD: not found yet */
    uint8_t *ring;
    uint64_t head; /* kept bytes are [tail, head) */
    uint64_t tail;
    int error; /* errno of a send that failed; the stream is broken then */
} kept = {.faults_fd = NO_FD};

static size_t kept_bytes(void)
{
    return (size_t)(kept.head - kept.tail);
}

/* QEMU opens it at the clone point. */
static int find_faults_fd(void)
{
    int found = NO_FD;
    DIR *directory = opendir("/proc/self/fd");
    if (directory == NULL)
        return NO_FD;
    struct dirent *entry;
    while (found == NO_FD && (entry = readdir(directory)) != NULL) {
        char target[sizeof(faults_link)];
        ssize_t length = readlinkat(dirfd(directory), entry->d_name, target, sizeof(target));
        if (length == (ssize_t)sizeof(faults_link) - 1 &&
            memcmp(target, faults_link, (size_t)length) == 0)
            found = atoi(entry->d_name);
    }
    closedir(directory);
    return found;
}

/* Waits for room, and, where `or_guest`, for a guest that waits for a page. True: there is one, and
 * no room. */
static bool wait_for_room(int fd, bool or_guest)
{
    struct pollfd waits[] = {
        {.fd = fd, .events = POLLOUT},
        {.fd = or_guest ? atomic_load(&kept.faults_fd) : NO_FD, .events = POLLIN},
    };
    poll(waits, 2, WAIT_MS);
    return waits[0].revents == 0 && (waits[1].revents & POLLIN) != 0;
}

static ssize_t send_some(int fd)
{
    size_t from = kept.tail & (KEPT_BYTES_MAX - 1);
    size_t before_wrap = KEPT_BYTES_MAX - from;
    struct iovec pieces[] = {
        {.iov_base = kept.ring + from, .iov_len = kept_bytes()},
        {.iov_base = kept.ring, .iov_len = 0},
    };
    if (kept_bytes() > before_wrap) {
        pieces[0].iov_len = before_wrap;
        pieces[1].iov_len = kept_bytes() - before_wrap;
    }
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
    return real()->sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Sends until no more than `rest` are kept; where `or_guest`, or until the guest waits for a page.
 */
static void send_until(int fd, size_t rest, bool or_guest)
{
    while (kept_bytes() > rest && kept.error == 0) {
        ssize_t sent = send_some(fd);
        if (sent >= 0)
            kept.tail += (uint64_t)sent;
        else if (errno != EAGAIN && errno != EINTR)
            kept.error = errno;
        else if (wait_for_room(fd, or_guest))
            return;
    }
}

static void keep(const uint8_t *bytes, size_t count)
{
    size_t to = kept.head & (KEPT_BYTES_MAX - 1);
    size_t before_wrap = KEPT_BYTES_MAX - to < count ? KEPT_BYTES_MAX - to : count;
    memcpy(kept.ring + to, bytes, before_wrap);
    memcpy(kept.ring, bytes + before_wrap, count - before_wrap);
    kept.head += count;
}

bool stream_has(int fd)
{
    return atomic_load_explicit(&stream_fd, memory_order_acquire) == fd;
}

void stream_opened(int fd)
{
    void *ring = mmap(NULL, KEPT_BYTES_MAX, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (ring == MAP_FAILED) {
        shim_note("no memory to keep a clone's stream in: the guest will wait more than it need");
        return;
    }
    kept.ring = ring;
    kept.head = kept.tail = 0;
    kept.error = 0;
    atomic_store(&kept.faults_fd, NO_FD);
    atomic_store(&stream_fd, fd);
}

ssize_t stream_send(int fd, const struct msghdr *message)
{
    size_t count = message_bytes(message);
    if (count > KEPT_BYTES_MAX) {
        errno = EMSGSIZE;
        return -1;
    }
    send_until(fd, KEPT_BYTES_MAX - count, false);
    if (kept.error != 0) {
        errno = kept.error;
        return -1;
    }
    for (size_t i = 0; i < message->msg_iovlen; i++)
        keep(message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
    if (kept_bytes() >= PIECE_BYTES && atomic_load(&kept.faults_fd) == NO_FD)
        atomic_store(&kept.faults_fd, find_faults_fd());
    send_until(fd, PIECE_BYTES, true);
    return (ssize_t)count; /* an error is told by the next */
}

static void close_stream(int fd)
{
    send_until(fd, 0, false);
    atomic_store(&stream_fd, NO_FD);
    munmap(kept.ring, KEPT_BYTES_MAX);
    kept.ring = NULL;
}

void stream_closed(int fd)
{
    int stream = atomic_load(&stream_fd);
    if (fd < 0 || stream == NO_FD)
        return;
    if (fd == stream)
        close_stream(fd);
    else if (fd == atomic_load(&kept.faults_fd)) {
        send_until(stream, 0, false);
        atomic_store(&kept.faults_fd, NO_FD);
    }
}
