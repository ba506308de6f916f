/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * output.c - sockets that the guest's output leaves by: for now the netdev's (descriptors.c).
 *
 * Before data leaves
 * - the log gets a marker (the instructions executed since its last event), so that the log's head
 *   covers the operation which made the output; LOCKSTEP_MARKER=0 leaves it out, for a test;
 * - `net_frames` counts the frame, so that the sidecar knows how many belong below a log position.
 *
 * A send is always whole. If the socket's buffer is full, QEMU waits here. Otherwise QEMU would go
 * on, tell the guest later (at a moment that no event in the log describes, and that differs on
 * the other side), and at a clone forget half a frame. A sidecar that is gone takes everything:
 * the guest must not notice on one side what it can't see on the other.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "framing.h"
#include "message.h"
#include "real.h"
#include "shim.h"
#include "symbols.h"

enum {
    OUTPUTS_MAX = 4,
    PIECES_MAX = 64,
    SEND_BUFFER_BYTES = 4 << 20,
    FULL_SLEEP_MS = 20,
    NO_FD = -1,
};

static struct output {
    _Atomic int fd;
    struct framing framing;
} outputs[OUTPUTS_MAX];

void output_init(void)
{
    for (int i = 0; i < OUTPUTS_MAX; i++)
        atomic_store(&outputs[i].fd, NO_FD);
}

static struct output *find(int fd)
{
    if (shim_role() == ROLE_INERT || fd < 0)
        return NULL;
    for (int i = 0; i < OUTPUTS_MAX; i++) {
        if (atomic_load_explicit(&outputs[i].fd, memory_order_acquire) == fd)
            return &outputs[i];
    }
    return NULL;
}

bool output_has(int fd)
{
    return find(fd) != NULL;
}

void output_opened(int fd)
{
    int bytes = SEND_BUFFER_BYTES;
    /* Above the system's limit only with privileges; what we get is enough to save waits. */
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    for (int i = 0; i < OUTPUTS_MAX; i++) {
        int none = NO_FD;
        if (!atomic_compare_exchange_strong(&outputs[i].fd, &none, fd))
            continue; /* another's, which may be in the middle of a frame */
        memset(&outputs[i].framing, 0, sizeof(outputs[i].framing));
        return; /* nobody sends on it before connect() returns */
    }
    shim_halt(FTLOG_ERR_CONTRACT, 0, "more than %d output sockets", OUTPUTS_MAX);
}

void output_closed(int fd)
{
    struct output *output = find(fd);
    if (output != NULL)
        atomic_store(&output->fd, NO_FD);
}

static void count_frames(struct output *output, const struct msghdr *message)
{
    uint64_t begun = 0;
    for (size_t i = 0; i < message->msg_iovlen; i++)
        begun += framing_begun(&output->framing, message->msg_iov[i].iov_base,
                               message->msg_iov[i].iov_len);
    __atomic_fetch_add(&shim_control()->net_frames, begun, __ATOMIC_RELEASE);
}

static void put_marker(void)
{
    if (shim_marker_wanted() && shim_role() == ROLE_RECORD && qemu.replay_mutex_locked())
        qemu.replay_save_instructions();
}

static void skip_sent(struct msghdr *message, size_t sent)
{
    while (message->msg_iovlen > 0 && sent >= message->msg_iov->iov_len) {
        sent -= message->msg_iov->iov_len;
        message->msg_iov++;
        message->msg_iovlen--;
    }
    if (message->msg_iovlen == 0)
        return;
    message->msg_iov->iov_base = (uint8_t *)message->msg_iov->iov_base + sent;
    message->msg_iov->iov_len -= sent;
}

static void wait_until_writable(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    poll(&wait, 1, FULL_SLEEP_MS);
    if (shim_in_main_thread)
        control_beat();
}

static void send_whole(int fd, const struct msghdr *message, int flags)
{
    struct iovec pieces[PIECES_MAX];
    struct msghdr rest = *message;
    memcpy(pieces, message->msg_iov, message->msg_iovlen * sizeof(pieces[0]));
    rest.msg_iov = pieces;
    while (rest.msg_iovlen > 0) {
        ssize_t sent = real()->sendmsg(fd, &rest, flags | MSG_NOSIGNAL);
        if (sent >= 0)
            skip_sent(&rest, (size_t)sent);
        else if (errno == EAGAIN)
            wait_until_writable(fd);
        else if (errno != EINTR)
            return; /* the sidecar is gone, and with it this host's share in the VM */
    }
}

ssize_t output_send(int fd, const struct msghdr *message, int flags)
{
    if (message->msg_iovlen > PIECES_MAX)
        shim_halt(FTLOG_ERR_CONTRACT, 0, "an output in %zu pieces", message->msg_iovlen);
    put_marker();
    count_frames(find(fd), message);
    send_whole(fd, message, flags);
    return (ssize_t)message_bytes(message);
}
