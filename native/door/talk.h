/* SPDX-License-Identifier: Apache-2.0 */
/* talk.h - one question to the sidecar and its answer. Each function returns NULL or a static
 * sentence on what failed. */
#ifndef LOCKSTEP_DOOR_TALK_H
#define LOCKSTEP_DOOR_TALK_H

#include "message.h"

/* Connects. The sidecar starts beside us: its socket is waited for until `deadline_ms` (now_ms). */
const char *talk_connect(const char *path, long long deadline_ms, int *socket_fd);
const char *talk_send(int socket_fd, const struct writer *request, const int *fds, int fd_count);
const char *talk_receive(int socket_fd, long long deadline_ms, struct reader *answer);

/* Monotonic, ms. */
long long now_ms(void);

#endif
