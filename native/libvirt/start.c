/* SPDX-License-Identifier: Apache-2.0 */
/* start.c - a stand-in for libvirt in tests: opens what libvirt opens for a QEMU, under the numbers
 * that its command line names, and becomes the program that libvirt would run.
 *
 *   start tap:21=tap0 listen:20=/run/monitor append:19=/run/serial.log -- /usr/bin/qemu ARGUMENTS
 *
 * tap: the tap of that name, with the virtio-net header, as KubeVirt makes it. listen: a unix
 * socket that listens there. append: a file, appended to.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { FD_MIN = 10, FD_MAX = 63, LOG_MODE = 0600 };

static void fail(const char *what)
{
    fprintf(stderr, "start: %s: %s\n", what, strerror(errno));
    exit(2);
}

static int open_tap(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);

    if (strlen(name) >= sizeof(request.ifr_name)) {
        fail("a name longer than an interface's");
    }
    strcpy(request.ifr_name, name);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) != 0) {
        fail(name);
    }
    return fd;
}

static int open_listener(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    if (strlen(path) >= sizeof(address.sun_path)) {
        fail("a path longer than a socket's");
    }
    strcpy(address.sun_path, path);
    unlink(path);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(fd, 1) != 0) {
        fail(path);
    }
    return fd;
}

static int open_log(const char *path)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, LOG_MODE);

    if (fd < 0) {
        fail(path);
    }
    return fd;
}

static int open_kind(const char *kind, const char *what)
{
    if (strcmp(kind, "tap") == 0) {
        return open_tap(what);
    }
    if (strcmp(kind, "listen") == 0) {
        return open_listener(what);
    }
    if (strcmp(kind, "append") == 0) {
        return open_log(what);
    }
    errno = EINVAL;
    fail(kind);
    return -1;
}

/* "tap:21=tap0" */
static void prepare(char *order)
{
    char *number = strchr(order, ':');
    char *what = strchr(order, '=');
    long wanted;
    int fd;

    errno = EINVAL;
    if (!number || !what || what < number) {
        fail(order);
    }
    *number++ = '\0';
    *what++ = '\0';
    wanted = strtol(number, NULL, 10);
    if (wanted < FD_MIN || wanted > FD_MAX) {
        fail(number);
    }
    fd = open_kind(order, what);
    if (dup2(fd, (int)wanted) < 0 || close(fd) != 0) {
        fail(number);
    }
}

int main(int argc, char **argv)
{
    int at;

    for (at = 1; at < argc && strcmp(argv[at], "--") != 0; at++) {
        prepare(argv[at]);
    }
    if (at + 1 >= argc) {
        errno = EINVAL;
        fail("nothing to run behind --");
    }
    execv(argv[at + 1], argv + at + 1);
    fail(argv[at + 1]);
    return 2;
}
