/* SPDX-License-Identifier: Apache-2.0 */
#include "arguments.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* QEMU takes options with one dash or two. */
static bool is_option(const char *argument, const char *name)
{
    if (argument[0] != '-') {
        return false;
    }
    return strcmp(argument + (argument[1] == '-' ? 2 : 1), name) == 0;
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* `-machine none` in each of its spellings. */
static bool is_no_machine(const char *value)
{
    const char *type = begins(value, "type=") ? value + strlen("type=") : value;

    return begins(type, "none") && (type[4] == '\0' || type[4] == ',');
}

/* Only what cannot be a guest's: a guest's kernel arguments may say -version, too. */
bool is_probe(char *const *argv)
{
    size_t i;

    if (argv[1] && !argv[2]) {
        return is_option(argv[1], "version") || is_option(argv[1], "help") ||
               is_option(argv[1], "h");
    }
    /* Nor can a guest write this: of two words in a row, at most one is a value. */
    for (i = 1; argv[i]; i++) {
        if ((is_option(argv[i], "machine") || is_option(argv[i], "M")) && argv[i + 1] &&
            is_no_machine(argv[i + 1])) {
            return true;
        }
    }
    return false;
}

/* The number behind `"fd":"` (JSON) or `fd=` (QemuOpts); -1 when there is none. vhostfd is another
 * key. */
static int descriptor_of(const char *netdev)
{
    static const char *const KEYS[] = {"\"fd\":\"", ",fd="};
    const char *found = NULL;
    char *end;
    long number;
    size_t i;

    for (i = 0; i < sizeof(KEYS) / sizeof(KEYS[0]) && !found; i++) {
        found = strstr(netdev, KEYS[i]);
        found = found ? found + strlen(KEYS[i]) : NULL;
    }
    if (!found) {
        return -1;
    }
    errno = 0;
    number = strtol(found, &end, 10);
    return errno == 0 && end != found && number >= 0 && number <= INT_MAX ? (int)number : -1;
}

int tap_descriptors(char *const *argv, int *fds, int max)
{
    int count = 0;
    size_t i;

    for (i = 1; argv[i]; i++) {
        int fd;

        if (!is_option(argv[i], "netdev") || !argv[i + 1]) {
            continue;
        }
        fd = descriptor_of(argv[i + 1]);
        if (fd < 0) {
            continue;
        }
        if (count == max) {
            return -1;
        }
        fds[count++] = fd;
    }
    return count;
}
