/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - the door: stands where libvirt looks for QEMU.
 *
 * libvirt's question what this QEMU can do goes through to the bundle's QEMU as it is. A guest's
 * start is shown to the sidecar first, with the taps that libvirt opened: it is started as the
 * sidecar answers, or not at all. So no guest ever runs without a sidecar. Knows nothing of QEMU,
 * and links to nothing: it runs in any image.
 *
 *   LOCKSTEP_BUNDLE  folder of the bundle         (for tests; else /opt/lockstep)
 *   LOCKSTEP_DOOR    the sidecar's socket         (for tests; else /run/lockstep/door.sock)
 *   LOCKSTEP_DOOR_MS how long it may take, ms     (for tests; else 60000)
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arguments.h"
#include "talk.h"
#include "wire.h"

#define BUNDLE "/opt/lockstep"
#define DOOR_SOCKET "/run/lockstep/door.sock"
#define DOOR_MS_MAX "60000"
#define EXIT_REFUSED 1

extern char **environ;

/* Of the command line that runs QEMU by the bundle's own loader, before QEMU's arguments. */
enum { LEAD_ARGUMENTS_MAX = 8 };

struct start {
    /* With LEAD_ARGUMENTS_MAX free places before QEMU's arguments. */
    char **argv;
    const char *preload;
};

static const char *setting(const char *name, const char *otherwise)
{
    const char *value = getenv(name);

    return value ? value : otherwise;
}

/* The sentence ends up in the VMI's condition: libvirt quotes what QEMU wrote before it ended. */
static int refuse(const char *sentence)
{
    fprintf(stderr, "lockstep: the VM is not started: %s\n", sentence);
    return EXIT_REFUSED;
}

static char *in_bundle(const char *name)
{
    char *path = NULL;

    if (asprintf(&path, "%s/%s", setting("LOCKSTEP_BUNDLE", BUNDLE), name) < 0) {
        _exit(refuse("there is no memory"));
    }
    return path;
}

/* argv[0] stays what libvirt called: KubeVirt finds its QEMU by that. Returns only when it cannot
 * be run. */
static int run(char *called, const struct start *start)
{
    char *loader = in_bundle("lib/ld-linux-x86-64.so.2");
    char *lead[LEAD_ARGUMENTS_MAX] = {loader, "--argv0", called, "--library-path",
                                      in_bundle("lib")};
    size_t count = 5;
    char **argv;

    if (start->preload) {
        lead[count++] = "--preload";
        lead[count++] = in_bundle(start->preload);
    }
    lead[count++] = in_bundle("bin/qemu-system-x86_64");
    argv = start->argv + LEAD_ARGUMENTS_MAX - count;
    memcpy(argv, lead, count * sizeof(*lead));
    execve(loader, argv, environ);
    return refuse("the bundle's QEMU cannot be run: is its volume mounted?");
}

static int probe(int argc, char **argv)
{
    struct start start = {calloc(LEAD_ARGUMENTS_MAX + (size_t)argc, sizeof(*argv)), NULL};

    if (!start.argv) {
        return refuse("there is no memory");
    }
    memcpy(start.argv + LEAD_ARGUMENTS_MAX, argv + 1, (size_t)argc * sizeof(*argv));
    return run(argv[0], &start);
}

static uint32_t count_of(char *const *strings)
{
    uint32_t count = 0;

    while (strings[count]) {
        count++;
    }
    return count;
}

static bool write_request(struct writer *writer, char *const *argv, const int *fds, int fd_count)
{
    const uint32_t arguments = count_of(argv);
    const uint32_t variables = count_of(environ);
    uint32_t i;

    writer_begin(writer);
    write_u32(writer, DOOR_VERSION);
    write_u32(writer, arguments);
    write_u32(writer, variables);
    write_u32(writer, (uint32_t)fd_count);
    for (i = 0; i < arguments; i++) {
        write_string(writer, argv[i]);
    }
    for (i = 0; i < variables; i++) {
        write_string(writer, environ[i]);
    }
    for (i = 0; i < (uint32_t)fd_count; i++) {
        write_u32(writer, (uint32_t)fds[i]);
    }
    return writer_end(writer) && arguments <= STRINGS_MAX && variables <= STRINGS_MAX;
}

/* NULL, and what to run; or a sentence. */
static const char *read_answer(struct reader *answer, struct start *start)
{
    const uint32_t kind = read_u32(answer);
    uint32_t arguments;
    uint32_t variables;
    char **environment;
    size_t i;

    if (kind == ANSWER_REFUSED) {
        const char *sentence = read_string(answer);

        return sentence ? sentence : "the sidecar refuses, and its answer is garbled";
    }
    arguments = read_u32(answer);
    variables = read_u32(answer);
    start->argv = read_strings(answer, arguments, LEAD_ARGUMENTS_MAX);
    environment = read_strings(answer, variables, 0);
    if (kind != ANSWER_START || !start->argv || !environment || !reader_done(answer)) {
        return "the sidecar's answer is garbled";
    }
    for (i = 0; i < variables; i++) {
        if (putenv(environment[i]) != 0) {
            return "the sidecar's answer has a variable without a name";
        }
    }
    start->preload = "lockstep-shim.so";
    return NULL;
}

/* What the sidecar has now must not be open in QEMU as well: a tap has one reader. */
static void leave_to_sidecar(const int *fds, int count)
{
    int i;

    for (i = 0; i < count; i++) {
        close(fds[i]);
    }
}

static int start_guest(char **argv)
{
    const long long deadline_ms = now_ms() + atoll(setting("LOCKSTEP_DOOR_MS", DOOR_MS_MAX));
    struct writer request;
    struct reader answer = {0};
    struct start start = {0};
    int fds[DESCRIPTORS_MAX];
    const int fd_count = tap_descriptors(argv, fds, DESCRIPTORS_MAX);
    int socket_fd = -1;
    const char *failed;

    if (fd_count < 0) {
        return refuse("it has more network interfaces than can be handed over");
    }
    if (!write_request(&request, argv, fds, fd_count)) {
        return refuse("its command line is too long");
    }
    failed = talk_connect(setting("LOCKSTEP_DOOR", DOOR_SOCKET), deadline_ms, &socket_fd);
    failed = failed ? failed : talk_send(socket_fd, &request, fds, fd_count);
    failed = failed ? failed : talk_receive(socket_fd, deadline_ms, &answer);
    failed = failed ? failed : read_answer(&answer, &start);
    if (failed) {
        return refuse(failed);
    }
    leave_to_sidecar(fds, fd_count);
    return run(argv[0], &start);
}

int main(int argc, char **argv)
{
    if (argc < 1) {
        return refuse("called without a name");
    }
    return is_probe(argv) ? probe(argc, argv) : start_guest(argv);
}
