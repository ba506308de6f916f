/* SPDX-License-Identifier: Apache-2.0 */
#include "talk.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "wire.h"

/* The socket of a sidecar that is still starting cannot be waited for by anything but looking. */
#define LOOK_MS 50

long long now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Neither connecting (before a full queue) nor sending (to one that does not read) waits longer. */
static bool bound_waiting(int fd, long long deadline_ms)
{
    const long long left_ms = deadline_ms - now_ms();
    /* A time of 0 would mean for ever. */
    const struct timeval left = {.tv_sec = left_ms > 0 ? left_ms / 1000 : 0,
                                 .tv_usec = left_ms > 0 ? left_ms % 1000 * 1000 : 1};

    return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &left, sizeof(left)) == 0;
}

const char *talk_connect(const char *path, long long deadline_ms, int *socket_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(address.sun_path)) {
        return "the path of the sidecar's socket is too long";
    }
    strcpy(address.sun_path, path);
    for (;;) {
        const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int why;

        if (fd < 0 || !bound_waiting(fd, deadline_ms)) {
            return "no socket can be had";
        }
        if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0) {
            *socket_fd = fd;
            return NULL;
        }
        why = errno;
        close(fd);
        if (why != ENOENT && why != ECONNREFUSED && why != EAGAIN && why != EINTR) {
            return "the sidecar's socket cannot be reached";
        }
        if (now_ms() >= deadline_ms) {
            return "no sidecar has opened its socket in time";
        }
        poll(NULL, 0, LOOK_MS);
    }
}

/* The first bytes, with the descriptors. Returns how many were sent, or -1. */
static ssize_t send_first(int socket_fd, const struct writer *request, const int *fds, int fd_count)
{
    struct iovec part = {.iov_base = request->bytes, .iov_len = request->length};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int) * DESCRIPTORS_MAX)];
    } control = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (fd_count > 0) {
        const size_t bytes = sizeof(int) * (size_t)fd_count;
        struct cmsghdr *header;

        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(bytes);
        header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(bytes);
        memcpy(CMSG_DATA(header), fds, bytes);
    }
    return sendmsg(socket_fd, &message, MSG_NOSIGNAL);
}

static const char *not_sent(void)
{
    switch (errno) {
    case EBADF:
        return "a tap that libvirt names is not open";
    case EAGAIN:
        return "the sidecar did not take the question in time";
    default:
        return "the sidecar did not take the question";
    }
}

const char *talk_send(int socket_fd, const struct writer *request, const int *fds, int fd_count)
{
    size_t sent;
    ssize_t bytes = send_first(socket_fd, request, fds, fd_count);

    if (bytes < 0) {
        return not_sent();
    }
    for (sent = (size_t)bytes; sent < request->length; sent += (size_t)bytes) {
        bytes = send(socket_fd, request->bytes + sent, request->length - sent, MSG_NOSIGNAL);
        if (bytes < 0) {
            return not_sent();
        }
    }
    return NULL;
}

static const char *receive(int socket_fd, long long deadline_ms, void *bytes, size_t length)
{
    size_t got = 0;

    while (got < length) {
        struct pollfd polled = {.fd = socket_fd, .events = POLLIN};
        const long long left_ms = deadline_ms - now_ms();
        ssize_t part;

        if (left_ms <= 0) {
            return "the sidecar did not answer in time";
        }
        if (poll(&polled, 1, (int)left_ms) <= 0) {
            continue;
        }
        part = recv(socket_fd, (char *)bytes + got, length - got, MSG_DONTWAIT);
        if (part == 0) {
            return "the sidecar went away without an answer";
        }
        if (part < 0 && errno != EAGAIN && errno != EINTR) {
            return "the sidecar's answer cannot be read";
        }
        got += part > 0 ? (size_t)part : 0;
    }
    return NULL;
}

const char *talk_receive(int socket_fd, long long deadline_ms, struct reader *answer)
{
    uint32_t network;
    const char *failed = receive(socket_fd, deadline_ms, &network, sizeof(network));

    if (failed) {
        return failed;
    }
    *answer = (struct reader){.length = ntohl(network)};
    if (answer->length > MESSAGE_BYTES_MAX) {
        return "the sidecar's answer is too long";
    }
    answer->bytes = malloc(answer->length + 1);
    if (!answer->bytes) {
        return "there is no memory for the sidecar's answer";
    }
    return receive(socket_fd, deadline_ms, answer->bytes, answer->length);
}
