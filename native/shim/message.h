/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LOCKSTEP_SHIM_MESSAGE_H
#define LOCKSTEP_SHIM_MESSAGE_H

#include <stddef.h>
#include <sys/socket.h>

/* How many bytes a sendmsg of it would send. */
static inline size_t message_bytes(const struct msghdr *message)
{
    size_t bytes = 0;
    for (size_t i = 0; i < message->msg_iovlen; i++)
        bytes += message->msg_iov[i].iov_len;
    return bytes;
}

#endif
