/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * whole.c - sends that take all of a message at once. If the socket's buffer is full, QEMU waits
 * here. A sidecar that is gone takes everything: the guest must not notice on one side what it
 * can't see on the other.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "message.h"
#include "real.h"
#include "shim.h"

enum {
    PIECES_MAX = IOV_MAX, /* what the kernel takes */
    SEND_BUFFER_BYTES = 4 << 20,
    FULL_SLEEP_MS = 20,
};

void whole_prepare(int fd)
{
    int bytes = SEND_BUFFER_BYTES;
    /* Above the system's limit only with privileges; what we get is enough to save waits. */
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
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

ssize_t whole_send(int fd, const struct msghdr *message, int flags)
{
    struct iovec pieces[PIECES_MAX];
    struct msghdr rest = *message;
    if (message->msg_iovlen > PIECES_MAX)
        shim_halt(FTLOG_ERR_CONTRACT, 0, "an output in %zu pieces", message->msg_iovlen);
    memcpy(pieces, message->msg_iov, message->msg_iovlen * sizeof(pieces[0]));
    rest.msg_iov = pieces;
    while (rest.msg_iovlen > 0) {
        ssize_t sent = real()->sendmsg(fd, &rest, flags | MSG_NOSIGNAL);
        if (sent >= 0)
            skip_sent(&rest, (size_t)sent);
        else if (errno == EAGAIN)
            wait_until_writable(fd);
        else if (errno != EINTR)
            break; /* the sidecar is gone, and with it this host's share in the VM */
    }
    return (ssize_t)message_bytes(message);
}
