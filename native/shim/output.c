/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * output.c - sockets that the guest's packets leave by: the netdev's (descriptors.c).
 *
 * Before data leaves
 * - the log gets a marker (the instructions executed since its last event), so that the log's head
 *   covers the operation which made the output; LOCKSTEP_MARKER=0 leaves it out, for a test;
 * - `net_frames` counts the frame, so that the sidecar knows how many belong below a log position.
 *
 * A send is always whole (whole.c). Otherwise QEMU would go on, tell the guest later (at a moment
 * that no event in the log describes, and that differs on the other side), and at a clone forget
 * half a frame.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/socket.h>

#include "framing.h"
#include "shim.h"
#include "symbols.h"

enum {
    OUTPUTS_MAX = 4,
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
    whole_prepare(fd);
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

ssize_t output_send(int fd, const struct msghdr *message, int flags)
{
    put_marker();
    count_frames(find(fd), message);
    return whole_send(fd, message, flags);
}
