/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stream.c - the state of a clone on its way out of QEMU.
 *
 * From the clone point on all of the guest's memory is write-protected (userfaultfd), and the
 * migration thread saves it page by page: send, then lift the protection. A page that the guest
 * wants to write is saved first, and the guest waits for it: for as long as that thread waits in a
 * send, and that is nearly always, because it saves faster than anybody reads, and a full unix
 * socket wakes its writer only when three quarters of it are empty. A request that touches fifty
 * pages would wait fifty times.
 *
 * So a send only keeps the bytes here, and never waits (but for the bound). They leave, in large
 * pieces, when the page's protection has been lifted. There the thread waits for room, or for the
 * guest to want another page, whichever comes first.
 *
 * What is left at the end leaves when QEMU closes its userfaultfd: that thread does it, right
 * after its last send (bg_migration_iteration_finish, ram_write_tracking_stop).
 *
 * One migration at a time. All is done by the threads that QEMU has for it, one after the other:
 * one that connects, one that saves, and the main thread, which closes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "message.h"
#include "real.h"
#include "shim.h"

/* Room for 8,000 pages that the guest has waited for. The buffer is twice as large, so that moving
 * its contents to its start costs less than sending them; touched only as far as it is needed. */
#define KEPT_BYTES_MAX ((size_t)32 << 20)
#define BUFFER_BYTES (2 * KEPT_BYTES_MAX)
#define PIECE_BYTES ((size_t)64 << 10)
/* A few pieces are moved down rather than touching more memory. */
#define TOUCHED_BYTES ((size_t)1 << 20)
enum { NO_FD = -1, CLOSED_FD = -2, WAIT_MS = 1000 };
/* So much less (nice(1)) than QEMU's other threads: about a tenth of their share. */
enum { SAVER_NICER = 10 };

static _Atomic int stream_fd = NO_FD;
static _Atomic int faults_fd = NO_FD; /* readable while the guest wants a page that nobody saves */
static bool saver_yields;             /* known to the saving thread alone */

static struct {
    uint8_t *bytes;
    size_t start; /* kept are [start, end) */
    size_t end;
    int error; /* errno of a send that failed; the stream is broken then */
} kept;

static size_t kept_bytes(void)
{
    return kept.end - kept.start;
}

/* Waits for room, and, where `or_guest`, for a guest that wants a page. True: there is one, and no
 * room. */
static bool wait_for_room(int fd, bool or_guest)
{
    struct pollfd waits[] = {
        {.fd = fd, .events = POLLOUT},
        {.fd = or_guest ? atomic_load(&faults_fd) : NO_FD, .events = POLLIN},
    };
    poll(waits, 2, WAIT_MS);
    return waits[0].revents == 0 && waits[1].revents != 0;
}

/* Sends until no more than `rest` are kept; where `or_guest`, or until the guest wants a page. */
static void send_until(int fd, size_t rest, bool or_guest)
{
    while (kept_bytes() > rest && kept.error == 0) {
        struct iovec piece = {.iov_base = kept.bytes + kept.start, .iov_len = kept_bytes()};
        struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
        ssize_t sent = real()->sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent >= 0)
            kept.start += (size_t)sent;
        else if (errno != EAGAIN && errno != EINTR)
            kept.error = errno;
        else if (wait_for_room(fd, or_guest))
            return;
    }
}

static void move_to_start(void)
{
    memmove(kept.bytes, kept.bytes + kept.start, kept_bytes());
    kept.end = kept_bytes();
    kept.start = 0;
}

static void keep(const struct msghdr *message, size_t count)
{
    bool is_little = kept_bytes() <= PIECE_BYTES && kept.start >= TOUCHED_BYTES;
    if (kept.start == kept.end || is_little || BUFFER_BYTES - kept.end < count)
        move_to_start();
    for (size_t i = 0; i < message->msg_iovlen; i++) {
        memcpy(kept.bytes + kept.end, message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
        kept.end += message->msg_iov[i].iov_len;
    }
}

/*
 * The thread that saves has work for a whole processor, and where there are few the guest would
 * share its own with it. A guest that waits for a page leaves its processor to that thread anyway.
 * The thread ends with the clone. Where this is refused (QEMU's -sandbox resourcecontrol=deny says
 * EPERM), the guest waits somewhat longer.
 */
static void yield_to_guest(void)
{
    id_t thread = (id_t)gettid();
    if (saver_yields || thread == (id_t)getpid())
        return;
    saver_yields = true;
    errno = 0;
    int nice = getpriority(PRIO_PROCESS, thread);
    if (errno == 0)
        setpriority(PRIO_PROCESS, thread, nice + SAVER_NICER);
}

bool stream_has(int fd)
{
    return atomic_load_explicit(&stream_fd, memory_order_acquire) == fd;
}

void stream_opened(int fd)
{
    if (atomic_load(&stream_fd) != NO_FD) {
        shim_note("a second clone before the first was closed: its stream is left to QEMU");
        return;
    }
    void *bytes = mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (bytes == MAP_FAILED) {
        shim_note("no memory to keep a clone's stream in: the guest will wait more than it need");
        return;
    }
    kept.bytes = bytes;
    kept.start = kept.end = 0;
    kept.error = 0;
    saver_yields = false;
    atomic_store(&faults_fd, NO_FD);
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
    keep(message, count);
    return (ssize_t)count; /* an error is told by the next */
}

void stream_protection_changed(int fd, bool protected)
{
    int stream = atomic_load(&stream_fd);
    if (stream == NO_FD)
        return;
    if (protected) {
        atomic_store(&faults_fd, fd); /* at the clone point: the guest is at rest, waits for us */
    } else if (fd == atomic_load(&faults_fd)) {
        yield_to_guest();
        send_until(stream, PIECE_BYTES, true);
    }
}

static void give_memory_back(void)
{
    if (kept.bytes != NULL)
        munmap(kept.bytes, BUFFER_BYTES);
    kept.bytes = NULL;
    kept.start = kept.end = 0;
}

void stream_closed(int fd)
{
    int stream = atomic_load(&stream_fd);
    if (stream == NO_FD)
        return;
    if (fd == atomic_load(&faults_fd)) {
        send_until(stream, 0, false);
        kept.error = EPIPE; /* nothing comes after the end */
        give_memory_back();
        atomic_store(&faults_fd, CLOSED_FD);
    } else if (fd == stream) {
        atomic_store(&stream_fd, NO_FD);
        give_memory_back();
    }
}
