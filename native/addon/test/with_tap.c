/* SPDX-License-Identifier: Apache-2.0 */
/* with_tap.c - for tests: opens a tap as libvirt does (a virtio-net header before each frame) and
 * runs a program with it.
 *
 * usage: with_tap NAME DESCRIPTOR PROGRAM [ARGUMENT...]
 */
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int fail(const char *what)
{
    perror(what);
    return 1;
}

int main(int argc, char **argv)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    int wanted;
    int fd;

    if (argc < 4) {
        fprintf(stderr, "usage: with_tap NAME DESCRIPTOR PROGRAM [ARGUMENT...]\n");
        return 2;
    }
    wanted = atoi(argv[2]);
    snprintf(request.ifr_name, IFNAMSIZ, "%s", argv[1]);
    fd = open("/dev/net/tun", O_RDWR);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) != 0) {
        return fail("tap");
    }
    if (fd != wanted && (dup2(fd, wanted) < 0 || close(fd) != 0)) {
        return fail("dup2");
    }
    execvp(argv[3], argv + 3);
    return fail(argv[3]);
}
